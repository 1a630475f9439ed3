"""What preparing data promises in every task: the same bytes again, used again, refused where the text has changed."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.config import Config as ClassifierConfig
from classifiers.data import prepare_data as prepare_classification
from classifiers.pretraining_config import PretrainingConfig
from classifiers.pretraining_data import prepare_pretraining_data
from nmt.config import Config as TranslatorConfig
from nmt.data import prepare_data as prepare_translation
from textseq import preparation
from textseq.errors import OutputError, RunDirectoryError
from textseq.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[1]
NOUNS = ("dog", "cat", "man", "woman", "child", "bird", "horse", "teacher", "farmer", "doctor")
VERBS = ("sleeps", "runs", "eats", "sings", "works", "waits", "swims", "reads")
PLACES = ("in the garden", "at home", "under a tree", "by the river")
TEXTS = [f"The {noun} {verb} {place}." for noun in NOUNS for verb in VERBS for place in PLACES]
TRAINING = 300
USUAL = (
    *("tokenization.vocabulary_size=320", "tokenization.sampling=0"),
    *("batching.token_budget=600", "batching.max_length=128"),
)


@dataclass(frozen=True)
class Task:
    """What differs between the tasks.

    Attributes:
        name: of the run directory.
        module: that prepares.
        config: of a run.
        prepare: its public function.
        files: what the line number of a text gives in each file, by its key in [corpus]; the training text's first,
            then the validation text's.
        counted: how the training examples are called.
        steps: functions of the module, in the order in which they are called.
        made: files that can be damaged.
    """

    name: str
    module: str
    config: Any
    prepare: Callable[..., Any]
    files: dict[str, Callable[[int], str]]
    counted: str
    steps: tuple[str, ...]
    made: tuple[str, ...]

    def settings(self, files: dict[str, str], *overrides: str) -> Any:
        named = [f"corpus.{role}={path}" for role, path in files.items()]
        return self.config().with_overrides([*named, *USUAL, *overrides])


def label_and_text(number: int) -> str:
    return f"{('bad', 'good')[number % 2]}\t{TEXTS[number]}"


TASKS = {
    "nmt": Task(
        "nmt",
        "nmt.data",
        TranslatorConfig,
        prepare_translation,
        {
            "source": lambda number: TEXTS[number],
            "valid_source": lambda number: TEXTS[number],
            "target": lambda number: TEXTS[number].upper(),
            "valid_target": lambda number: TEXTS[number].upper(),
        },
        "pairs",
        ("learn_vocabularies", "_write_training_stores", "choose_plan"),
        ("data/train.target.ids", "data/valid.source.txt", "tokenizer/joint.model"),
    ),
    "classifiers": Task(
        "classifiers",
        "classifiers.data",
        ClassifierConfig,
        prepare_classification,
        {"train": label_and_text, "valid": label_and_text},
        "texts",
        ("write_parts", "learn_vocabulary", "choose_plan"),
        ("data/train.text.ids", "data/valid.labels.ids", "data/labels.json", "tokenizer/text.model"),
    ),
    "pretraining": Task(
        "pretraining",
        "classifiers.pretraining_data",
        PretrainingConfig,
        prepare_pretraining_data,
        {"text": lambda number: TEXTS[number], "valid_text": lambda number: TEXTS[number]},
        "texts",
        ("_write_texts", "learn_vocabulary", "_choose_plan"),
        ("data/train.text.ids", "data/valid.text.txt", "tokenizer/text.model"),
    ),
}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


@pytest.fixture
def files(task: Task, tmp_path: Path) -> dict[str, str]:
    """A tiny corpus with validation text, by key."""
    named = {}
    for role, line in task.files.items():
        numbers = range(TRAINING, len(TEXTS)) if role.startswith("valid") else range(TRAINING)
        path = tmp_path / f"{role}.txt"
        path.write_text("".join(f"{line(number)}\n" for number in numbers), encoding="utf-8")
        named[role] = str(path)
    return named


@pytest.fixture
def new_run(task: Task, tmp_path: Path) -> Callable[[], RunDirectory]:
    numbers = iter(range(100))
    return lambda: RunDirectory.create(tmp_path / f"run{next(numbers)}", task.name)


def silent(message: str) -> None:
    """Takes a notice."""


def content(run: RunDirectory) -> dict[str, bytes]:
    folders = (run.data_path, run.tokenizer_path)
    return {f"{folder.name}/{path.name}": path.read_bytes() for folder in folders for path in folder.iterdir()}


def arrays(data: Any, epoch: int) -> Iterator[np.ndarray]:
    for batch in data.batches(epoch):
        yield from flat(data.arrays(batch, epoch))


def flat(batch: Any) -> tuple[np.ndarray, ...]:
    return batch if isinstance(batch, tuple) else (batch,)


def listed(arrays: Iterable[np.ndarray]) -> list[Any]:
    return [array.tolist() for array in arrays]


@pytest.mark.parametrize("sampling", [0.0, 0.1])
def test_same_input_gives_the_same_bytes(
    task: Task, sampling: float, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    runs = new_run(), new_run()
    for run in runs:
        task.prepare(task.settings(files, f"tokenization.sampling={sampling}"), run, silent)
    assert content(runs[0]) == content(runs[1])


def test_second_call_prepares_nothing(
    task: Task, files: dict[str, str], new_run: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, told = new_run(), []
    first = task.prepare(task.settings(files), run, told.append)
    assert told[-1] == f"data: 300 training {task.counted}, 20 validation {task.counted}"
    before = content(run)
    monkeypatch.setattr(importlib.import_module(task.module), "_make", lambda *_: pytest.fail("is prepared again"))
    told.clear()
    second = task.prepare(task.settings(files), run, told.append)
    assert told == [f"data: 300 training {task.counted}, prepared before"]
    assert content(run) == before
    assert listed(arrays(first, 3)) == listed(arrays(second, 3))
    assert second.plan.shapes == first.plan.shapes
    for path in files.values():
        os.unlink(path)
    assert len(task.prepare(task.settings(files), run, silent)) == 300
    assert len(task.prepare(task.settings({}), run, silent)) == 300


def test_changed_input_is_refused_by_name(
    task: Task, tmp_path: Path, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    run = new_run()
    task.prepare(task.settings(files), run, silent)
    before = content(run)
    role, path = next(iter(files.items()))
    original = Path(path).read_bytes()
    Path(path).write_bytes(original + b"a\tb\n")
    sizes = rf"\({len(original):,} bytes then, {len(original) + 4:,} now, another SHA-256\)"
    mend = "bring the old file back, or choose a new folder with --run"
    with pytest.raises(RunDirectoryError, match=rf"{role}.txt: has changed since the run .*run0 began {sizes}; {mend}"):
        task.prepare(task.settings(files), run, silent)
    Path(path).rename(tmp_path / "other.txt")
    with pytest.raises(RunDirectoryError, match=rf"other.txt: has changed since .* began with .*{role}.txt \("):
        task.prepare(task.settings({**files, role: str(tmp_path / "other.txt")}), run, silent)
    assert content(run) == before


def test_changed_configuration_is_refused_by_key(
    task: Task, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    run = new_run()
    config = task.settings(files)
    task.prepare(config, run, silent)
    with pytest.raises(RunDirectoryError) as caught:
        task.prepare(task.settings(files, "seed=2", "cleaning.max_characters=99"), run, silent)
    assert str(caught.value) == (
        f"{run.path}: its data were prepared with another configuration (seed: 1 -> 2; cleaning.max_characters: "
        f"{config.cleaning.max_characters} -> 99); give the same one, or choose a new folder with --run"
    )
    training = {role: path for role, path in files.items() if not role.startswith("valid")}
    held_out = next(role for role in files if role not in training)
    with pytest.raises(RunDirectoryError, match=rf"\(corpus.{held_out}: set -> not set\)"):
        task.prepare(task.settings(training), run, silent)


def test_damaged_data_are_prepared_again(
    task: Task, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    run = new_run()
    task.prepare(task.settings(files), run, silent)
    before = content(run)
    for name in task.made:
        damaged = bytearray((run.path / name).read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (run.path / name).write_bytes(damaged)
        told: list[str] = []
        task.prepare(task.settings(files), run, told.append)
        assert told[0] == f"{run.path / name} is missing or altered; the data are prepared again"
        assert content(run) == before
    (run.data_path / "prepared.json").write_text("{", encoding="utf-8")
    task.prepare(task.settings(files), run, silent)
    assert content(run) == before


@pytest.mark.parametrize("step", [0, 1, 2, "write_prepared"])
def test_a_killed_preparation_starts_over(
    task: Task, step: int | str, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    whole, killed = new_run(), new_run()
    config = task.settings(files)
    task.prepare(config, whole, silent)
    path = killed.path.with_suffix(".toml")
    path.write_text(config.to_toml(), encoding="utf-8")
    module, name = (task.module, task.steps[step]) if isinstance(step, int) else (preparation.__name__, step)
    code = f"""
import importlib, os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from {task.config.__module__} import {task.config.__name__} as Config
from {task.module} import {task.prepare.__name__} as prepare
from textseq.run_directory import RunDirectory
config = Config.from_toml({str(path)!r})
module = importlib.import_module({module!r})
assert callable(getattr(module, {name!r}))
setattr(module, {name!r}, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
run = RunDirectory.create({str(killed.path)!r}, {task.name!r})
with run.lock():
    prepare(config, run, print)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (killed.data_path / "prepared.json").exists()
    with killed.lock():
        task.prepare(config, killed, silent)
    assert content(killed) == content(whole)
    assert [path.name for path in killed.path.iterdir() if path.name.endswith(".partial")] == []


def test_failure_leaves_the_run_as_it_was(
    task: Task, files: dict[str, str], new_run: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importlib.import_module(task.module), task.steps[0], full)
    with pytest.raises(OutputError):
        task.prepare(task.settings(files), run, silent)
    assert content(run) == {}
    assert sorted(path.name for path in run.path.iterdir()) == ["checkpoints", "data", "run.json", "tokenizer"]


def test_order_follows_seed_and_epoch(task: Task, files: dict[str, str], new_run: Callable[[], RunDirectory]) -> None:
    data = task.prepare(task.settings(files), new_run(), silent)

    def order(epoch: int) -> list[int]:
        return [int(index) for batch in data.batches(epoch) for index in batch.indices]

    assert order(0) == order(0)
    assert order(0) != order(1)
    shards = [data.batches(0, shard=shard, shards=2) for shard in (0, 1)]
    for batch, one, two in zip(data.batches(0), *shards, strict=True):
        assert sorted([*one.indices, *two.indices]) == sorted(batch.indices)


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_subwords_are_drawn_anew_each_epoch(
    task: Task, algorithm: str, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    run = new_run()
    config = task.settings(files, f"tokenization.algorithm={algorithm}", "tokenization.sampling=0.3")
    data = task.prepare(config, run, silent)
    assert len({str(listed(arrays(data, epoch))) for epoch in range(3)}) == 3
    assert {path.name.partition(".")[0] for path in run.data_path.glob("sampled-*")} == {"sampled-2"}
    # Another process that begins in the middle finds the same batches with the same ids.
    later = task.prepare(config, run, silent)
    assert later.plan.shapes == data.plan.shapes
    assert listed(arrays(later, 2)) == listed(arrays(data, 2))
    plain = ([listed(flat(batch)) for batch in each.validation_batches()] for each in (later, data))
    assert next(plain) == next(plain)
