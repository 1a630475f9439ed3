"""A run's directory under fire: its writer is killed at any instant, or a reader looks on."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from textseq.run_directory import RunDirectory

WRITER = """
import sys
import numpy as np
from textseq.run_directory import RunDirectory

run = RunDirectory.create(sys.argv[1], task="nmt")
with run.lock():
    checkpoint = run.read_checkpoint()
    step = 0 if checkpoint is None else checkpoint.step
    run.truncate_metrics(step)
    print(step, flush=True)
    while step < int(sys.argv[2]):
        step += 1
        run.append_metrics({"step": step, "text": "x" * 50})
        tensors = {"weights": {"a": np.full(5_000, step)}, "optimizer": {"m": np.full(5_000, -step)}}
        run.write_checkpoint(step, tensors, {"step": step})
        if step % 2 == 0:
            run.write_best(step, tensors, {"step": step})
"""

# Forks a writer for each n, which is killed just before its n-th change of the file system.
STEPWISE = """
import os, signal, sys
import numpy as np, safetensors.numpy, ctypes, hashlib, json
import textseq.run_directory as module
from textseq import atomic_files
from textseq.run_directory import RunDirectory

ctypes.CDLL(None)
if sys.argv[2] == "rename":
    atomic_files._exchange = lambda one, other: False
CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "shutil.rmtree"}

def change(step, countdown):
    def hook(event, arguments):
        if event in CHANGES:
            countdown[0] -= 1
            if countdown[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    run = RunDirectory.create(sys.argv[1], task="nmt")
    with run.lock():
        module.write_atomically(run.config_path, f"step = {step}" * 100)
        tensors = {"weights": {"a": np.full(100, step)}}
        run.append_metrics({"step": step})
        run.write_checkpoint(step, tensors, {"step": step})
        run.write_best(step, tensors, {"step": step})
        run.truncate_metrics(step - 1)

def check(step):
    run = RunDirectory.create(sys.argv[1], task="nmt")
    values = set()
    for checkpoint in (run.read_checkpoint(), run.read_best()):
        if checkpoint is not None:
            assert set(checkpoint.tensors["weights"]["a"]) == {checkpoint.step} == {checkpoint.state["step"]}
            values.add(checkpoint.step)
    if run.config_path.exists():
        text = run.config_path.read_text()
        value = int(text.split()[2].removesuffix("step"))
        assert text == f"step = {value}" * 100
    assert (run.read_best() is None) <= (step < 3), "the best weights vanished"
    assert all(value in (step - 1, step) for value in values), (values, step)

def in_a_child(step, kill_at):
    child = os.fork()
    if child == 0:
        try:
            change(step, [kill_at])
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]

killed = 0
for step in range(1, 1000):
    status = in_a_child(step, step)
    if not os.WIFSIGNALED(status):
        assert status == 0, status
        break
    killed += 1
    check(step)
    # Bring the run to its full state before the next kill.
    assert in_a_child(step, 0) == 0
print(killed)
"""


def test_a_reader_beside_a_writer_never_sees_a_part(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), "40"], stdout=subprocess.DEVNULL)
    reads = 0
    while writer.poll() is None:
        for checkpoint in (run.read_best(), run.read_checkpoint()):
            if checkpoint is not None:
                reads += 1
                assert set(checkpoint.tensors["weights"]["a"].tolist()) == {checkpoint.step}
    assert writer.returncode == 0
    assert reads > 10


def test_a_writer_killed_at_random_instants_leaves_a_whole_run(tmp_path: Path) -> None:
    chance = random.Random(5)
    last = last_best = 0
    for _ in range(15):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), "1000000"], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        resumed = int(writer.stdout.readline())
        assert resumed >= last, "a checkpoint was lost"
        time.sleep(chance.uniform(0, 0.15))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        run = RunDirectory.create(tmp_path, task="nmt")
        for checkpoint in (run.read_checkpoint(), run.read_best()):
            if checkpoint is not None:
                assert checkpoint.state == {"step": checkpoint.step}
                assert set(checkpoint.tensors["weights"]["a"].tolist()) == {checkpoint.step}
                assert set(checkpoint.tensors["optimizer"]["m"].tolist()) == {-checkpoint.step}
        newest = run.read_checkpoint()
        last = 0 if newest is None else newest.step
        if newest is None:
            continue
        best = run.read_best()
        assert (0 if best is None else best.step) >= last_best, "the best weights were lost"
        last_best = 0 if best is None else best.step
        with run.lock():
            assert [path.name for path in tmp_path.rglob(".*")] == [".lock"]
            run.truncate_metrics(last)
        steps = [json.loads(line)["step"] for line in run.metrics_path.read_text().splitlines()]
        assert steps == list(range(1, last + 1))
    assert last_best > 10


@pytest.mark.parametrize("way", ["exchange", "rename"])
def test_a_writer_killed_before_each_of_its_changes_leaves_a_whole_run(tmp_path: Path, way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPWISE, str(tmp_path), way], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
