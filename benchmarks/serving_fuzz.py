"""Hostile requests for minutes to the REST of a server of an export: no 5xx, no hang, bounded memory, right answers.

Usage: python benchmarks/serving_fuzz.py EXPORT [--minutes M] [--seed N] [--option NAME=NUMBER ...]

Rounds of the attacks of tests/textseq/serving/rest_attacks.py, each of its own kind, and of generated requests
(rest_requests.py); then, where schemathesis is installed, its requests from tests/textseq/serving/rest_openapi.json.
All the while another client asks the golden inputs and compares the answers with the golden ones. Prints one JSON
object; the exit code is 1 after anything that must not be.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
from served_export import GoldenRow, Server, golden_rows, started

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for what the tests share with this

from tests.textseq.serving.rest_attacks import ATTACKS  # noqa: E402
from tests.textseq.serving.rest_requests import requests  # noqa: E402
from tests.textseq.serving.rest_target import Fault, Request, Target, check_alive, post, send  # noqa: E402

DESCRIPTION = ROOT / "tests" / "textseq" / "serving" / "rest_openapi.json"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
GENERATED = 300
SETTLING_SECONDS = 45.0
MEMORY_GROWTH_MIB = 512.0
DESCRIPTOR_GROWTH = 20
SHARE_OF_SCHEMATHESIS = 0.3

# What a server says of itself when something in it went wrong unforeseen.
_COMPLAINT = re.compile(r"^.*(?:Traceback|never retrieved|never awaited|Fatal|failed).*$", re.MULTILINE)


@dataclass
class Findings:
    """What must not be, by where it was found, and what was counted."""

    faults: dict[str, list[str]] = field(default_factory=lambda: collections.defaultdict(list))
    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    rounds: list[dict[str, float]] = field(default_factory=list)

    def guard(self, name: str, call: Callable[[], object]) -> None:
        """Calls, and notes a fault under a name."""
        began = time.monotonic()
        try:
            call()
        except Exception as error:
            if len(self.faults[name]) < 5:
                self.faults[name].append(f"{type(error).__name__}: {error}"[:1500])
        print(f"{time.strftime('%H:%M:%S')} {name}: {time.monotonic() - began:.1f} s", file=sys.stderr)


class GoldenClient(threading.Thread):
    """Asks the golden inputs one after the other, until it is told to stop."""

    def __init__(self, target: Target, rows: Sequence[GoldenRow], tolerance: float) -> None:
        super().__init__(daemon=True)
        self.target, self.rows, self.tolerance = target, rows, tolerance
        self.ended = threading.Event()
        self.asked = self.busy = 0
        self.slowest = 0.0
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.ended.is_set():
            row = self.rows[self.asked % len(self.rows)]
            began = time.monotonic()
            try:
                answer = post(self.target, json.dumps({"instances": [row.instance()]}))
                if answer.status == 200:
                    (outputs,) = json.loads(answer.body.decode("utf-8", "surrogateescape"))["predictions"]
                    fault = row.difference(outputs, self.tolerance)
                else:
                    fault = None if answer.status in (429, 503) else f"HTTP {answer.status} {answer.body[:200]!r}"
                    self.busy += fault is None
            except (Fault, OSError, ValueError) as error:
                fault = f"{type(error).__name__}: {error}"
            if fault is not None:
                self.faults.append(fault[:500])
            self.asked += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.ended.wait(0.05)


def generated(target: Target, findings: Findings, seed: int) -> None:
    """Sends generated requests; Hypothesis reports the smallest that fails."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=GENERATED,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(requests(target.model))
    def run(request: Request) -> None:
        answer = send(target, request)
        findings.statuses[str(answer.status if answer else None)] += 1

    run()


def described(target: Target, seconds: float, findings: Findings) -> dict[str, Any]:
    """Has schemathesis send what the description of the surface says, and what it forbids."""
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        return {"skipped": "schemathesis is not installed"}
    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder, "openapi.json")
        description.write_text(DESCRIPTION.read_text("utf-8").replace('"MODEL"', json.dumps(target.model)), "utf-8")
        command = [str(program), "run", str(description), "--url", f"http://{target.host}:{target.port}"]
        command += ["--checks", CHECKS, "--max-time", str(int(seconds)), "--request-timeout", "60"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=seconds + 300)
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        findings.faults["schemathesis"].append(output[-6000:])
    cases = re.findall(r"([\d,]+) generated", output)
    return {"exit_code": done.returncode, "seconds": round(seconds), "cases": cases[-1] if cases else None}


def held(server: Server) -> dict[str, float]:
    """What the server's process holds now."""
    if server.process is None or not os.path.isdir("/proc/self"):
        return {}
    process = Path(f"/proc/{server.process.pid}")
    counts = {"descriptors": len(os.listdir(process / "fd")), "threads": len(os.listdir(process / "task"))}
    return {**server.memory(), **counts}


def settled(server: Server, before: dict[str, float], findings: Findings) -> dict[str, float]:
    """Waits until the server has let go of the connections, and notes what it still holds too much of."""
    deadline = time.monotonic() + SETTLING_SECONDS
    now = held(server)
    while now and now["descriptors"] > before["descriptors"] + DESCRIPTOR_GROWTH and time.monotonic() < deadline:
        time.sleep(1)
        now = held(server)
    if now and now["descriptors"] > before["descriptors"] + DESCRIPTOR_GROWTH:
        findings.faults["descriptors"].append(f"{before['descriptors']} before, {now['descriptors']} after")
    if now and now["now"] > before["now"] + MEMORY_GROWTH_MIB:
        findings.faults["memory"].append(f"{before['now']} MiB before, {now['now']} MiB after")
    return now


def attack_in_rounds(server: Server, target: Target, seconds: float, seed: int, findings: Findings) -> None:
    """Every attack and many generated requests, again and again."""
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline and server.alive():
        for attack in ATTACKS:
            findings.guard(attack.__name__, lambda attack=attack: attack(target))  # type: ignore[misc]
            findings.guard(f"after {attack.__name__}", lambda: check_alive(target))
            if time.monotonic() > deadline:
                break
        findings.guard("generated", lambda number=number: generated(target, findings, seed + number))  # type: ignore[misc]
        findings.guard("after generated", lambda: check_alive(target))
        findings.rounds.append(held(server))
        number += 1


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """All of it, against a fresh server."""
    rows, tolerance = golden_rows(arguments.export, "serving_default")
    first = next(row for row in rows if any(row.inputs.values()))
    findings = Findings()
    seconds = 60.0 * arguments.minutes
    began = time.monotonic()
    options = {name: json.loads(value) for name, _, value in (option.partition("=") for option in arguments.option)}
    with tempfile.TemporaryFile() as log, started(arguments.export, log, **options) as server:
        right = lambda outputs: first.difference(outputs, tolerance) is None  # noqa: E731
        target = Target(*server.rest, server.name, first.instance(), right)
        check_alive(target)
        before = held(server)
        watching = GoldenClient(target, rows, tolerance)
        watching.start()
        attack_in_rounds(server, target, seconds * (1 - SHARE_OF_SCHEMATHESIS), arguments.seed, findings)
        by_description = described(target, max(seconds - (time.monotonic() - began), 10.0), findings)
        watching.ended.set()
        watching.join(120)
        findings.guard("in the end", lambda: check_alive(target))
        after = settled(server, before, findings)
        alive = server.alive()
        log.seek(0)
        findings.faults["log"] += _COMPLAINT.findall(log.read().decode("utf-8", "replace"))[:20]
    faults = {name: found for name, found in findings.faults.items() if found}
    result = {
        "minutes": round((time.monotonic() - began) / 60, 2),
        "seed": arguments.seed,
        "server_alive": alive,
        "faults": faults,
        "generated_requests": findings.statuses.total(),
        "statuses": dict(findings.statuses.most_common()),
        "schemathesis": by_description,
        "golden": {
            "asked": watching.asked,
            "busy": watching.busy,
            "slowest_seconds": round(watching.slowest, 2),
            "faults": len(watching.faults),
            "first_faults": watching.faults[:5],
        },
        "before": before,
        "after": after,
        "by_round": findings.rounds,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
    }
    return result, alive and not faults and not watching.faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="the exported folder, whose versions are numbered")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--option", action="append", default=[], help="an option of `serve`, such as --option queue=64")
    arguments = parser.parse_args()
    result, good = measure(arguments)
    print(json.dumps(result, ensure_ascii=False))
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
