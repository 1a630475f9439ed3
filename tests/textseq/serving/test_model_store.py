"""Versions come, go, and are refused."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textseq.serving.model_store import ModelStore, State
from textseq.serving.refusal import Code, Refusal


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    folder.mkdir()
    return folder


class Opener:
    """Loads stand-ins; a folder with a file "broken" in it is refused with what stands there."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self.models: dict[int, Any] = {}
        self.opened: list[int] = []

    def __call__(self, path: Path) -> Any:
        self.opened.append(int(path.name))
        if (path / "broken").exists():
            raise ValueError((path / "broken").read_text())
        self.models[int(path.name)] = model = self._kind(version=int(path.name))
        return model


@pytest.fixture
def opener(stand_in_kind: type) -> Opener:
    return Opener(stand_in_kind)


@pytest.fixture
def make(exported: Path, opener: Opener, limits: Any) -> Iterator[Callable[..., ModelStore]]:
    stores: list[ModelStore] = []

    def made(**options: Any) -> ModelStore:
        # Nobody but the test looks at the folder.
        stores.append(ModelStore(exported, "nmt", opener, replace(limits, poll_seconds=1000.0), **options))
        return stores[-1]

    yield made
    for store in stores:
        store.close(5)


def add(exported: Path, version: int, **files: str) -> Path:
    folder = exported / str(version)
    folder.mkdir()
    (folder / "saved_model.pb").write_text("graph")
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def look(store: ModelStore) -> bool:
    """Looks until what is there has settled."""
    store.look()
    return store.look()


def answered(store: ModelStore) -> int:
    """The version that answers."""
    with store.lease() as served:
        array = np.empty(1, object)
        array[:] = [b"a"]
        future = served.batcher.submit("serving_default", {"text": array}, time.monotonic() + 5)[0]
        return int(future.result(5)["size"][0])


def states(store: ModelStore) -> dict[int, str]:
    return {status.version: status.state.name for status in store.statuses()}


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_the_newest_version_is_served(make: Callable[..., ModelStore], exported: Path, opener: Opener) -> None:
    for version in (1, 10, 9):
        add(exported, version)
    (exported / "11.partial").mkdir()
    (exported / "12").write_text("no folder")
    store = make()
    assert look(store)
    assert answered(store) == 10
    assert opener.opened == [10]
    assert states(store) == {10: "AVAILABLE"}


def test_a_new_version_takes_over_and_the_old_is_closed(
    make: Callable[..., ModelStore], exported: Path, opener: Opener
) -> None:
    add(exported, 1)
    store = make()
    look(store)
    add(exported, 2)
    assert look(store)
    assert answered(store) == 2
    wait_for(lambda: opener.models[1].closed)
    wait_for(lambda: states(store) == {2: "AVAILABLE", 1: "END"})


def test_the_old_version_finishes_what_it_has(make: Callable[..., ModelStore], exported: Path, opener: Opener) -> None:
    add(exported, 1)
    store = make()
    look(store)
    with store.lease() as served:
        add(exported, 2)
        look(store)
        assert answered(store) == 2
        wait_for(lambda: states(store)[1] == "UNLOADING")
        assert served.version == 1
        assert not opener.models[1].closed
    wait_for(lambda: opener.models[1].closed)


def test_a_broken_version_is_refused_once_and_the_old_goes_on(
    make: Callable[..., ModelStore], exported: Path, opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    add(exported, 1)
    store = make()
    look(store)
    add(exported, 2, broken="the graph\ncannot be read")
    assert look(store)
    look(store)
    assert answered(store) == 1
    assert opener.opened == [1, 2]
    status = store.statuses()[0]
    assert (status.version, status.state, status.code) == (2, State.END, Code.INTERNAL)
    assert "the graph cannot be read" in status.message
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert lines == ["model nmt: version 2 is refused: the graph cannot be read; version 1 goes on"]


def test_a_broken_version_is_tried_again_when_it_changes(
    make: Callable[..., ModelStore], exported: Path, opener: Opener
) -> None:
    folder = add(exported, 1, broken="half")
    store = make()
    assert not look(store)
    (folder / "broken").unlink()
    assert look(store)
    assert answered(store) == 1


def test_where_the_newest_is_broken_the_next_is_loaded(make: Callable[..., ModelStore], exported: Path) -> None:
    add(exported, 1)
    add(exported, 2, broken="x")
    store = make()
    look(store)
    assert answered(store) == 1
    assert states(store) == {2: "END", 1: "AVAILABLE"}


def test_a_version_that_is_removed_is_rolled_back(
    make: Callable[..., ModelStore], exported: Path, opener: Opener
) -> None:
    add(exported, 1)
    add(exported, 2)
    store = make()
    look(store)
    shutil.rmtree(exported / "2")
    assert look(store)
    assert answered(store) == 1
    wait_for(lambda: opener.models[2].closed)


def test_a_roll_back_to_a_retired_version_loads_no_lower_one(
    make: Callable[..., ModelStore], exported: Path, opener: Opener
) -> None:
    for version in (1, 2, 3):
        add(exported, version)
    (exported / "retired").mkdir()
    (exported / "2").rename(exported / "retired" / "2")
    store = make()
    look(store)
    assert answered(store) == 3
    (exported / "retired" / "2").rename(exported / "2")
    (exported / "3").rename(exported / "retired" / "3")
    assert not store.look()  # 2 may still be written
    assert answered(store) == 3
    assert look(store)
    assert answered(store) == 2
    assert opener.opened == [3, 2]


def test_what_is_known_stays_while_the_folder_is_gone(
    make: Callable[..., ModelStore], exported: Path, opener: Opener
) -> None:
    add(exported, 1)
    add(exported, 2, broken="no graph")
    store = make()
    look(store)
    known, opened = states(store), list(opener.opened)
    exported.rename(exported.with_name("aside"))
    with pytest.raises(FileNotFoundError):
        store.look()
    exported.with_name("aside").rename(exported)
    assert look(store)
    assert states(store) == known
    assert opener.opened == opened


def test_the_last_version_is_served_on_when_it_is_removed(make: Callable[..., ModelStore], exported: Path) -> None:
    add(exported, 1)
    store = make()
    look(store)
    shutil.rmtree(exported / "1")
    assert not look(store)
    assert answered(store) == 1


def test_a_pinned_version_is_served_and_no_other(make: Callable[..., ModelStore], exported: Path) -> None:
    for version in (1, 2, 3):
        add(exported, version)
    store = make(pinned=2)
    look(store)
    add(exported, 4)
    look(store)
    assert answered(store) == 2


def test_a_version_that_is_being_copied_is_left_alone(
    make: Callable[..., ModelStore], exported: Path, opener: Opener
) -> None:
    folder = add(exported, 1)
    store = make()
    for size in range(3):
        assert not store.look()
        (folder / "variables").write_bytes(b"x" * size)
        for path in (*folder.iterdir(), folder):
            os.utime(path, (1, 1))  # as tools do that keep the time of the original
    assert opener.opened == []
    assert look(store)


def test_a_version_that_has_long_been_there_is_loaded_at_once(exported: Path, opener: Opener, limits: Any) -> None:
    add(exported, 1)
    time.sleep(0.1)
    store = ModelStore(exported, "nmt", opener, replace(limits, poll_seconds=0.05))
    assert store.look()
    store.close(5)


def test_the_folder_is_looked_at_again_and_again(exported: Path, opener: Opener, limits: Any) -> None:
    add(exported, 1)
    store = ModelStore(exported, "nmt", opener, replace(limits, poll_seconds=0.02))
    store.start()
    add(exported, 2)
    wait_for(lambda: answered(store) == 2)
    aside = exported.with_name("aside")
    exported.rename(aside)  # gone for a moment
    time.sleep(0.06)
    add(aside, 3)
    aside.rename(exported)
    wait_for(lambda: answered(store) == 3)
    store.close(5)
    assert opener.models[3].closed


def test_a_start_without_a_version_says_so(make: Callable[..., ModelStore], exported: Path) -> None:
    with pytest.raises(Refusal, match=r"holds no version that can be served \(there is no folder of a version\)"):
        make().start(0.01)
    with pytest.raises(Refusal, match="there is no folder of version 7"):
        make(pinned=7).start(0.01)


def test_a_start_with_broken_versions_says_why(exported: Path, opener: Opener, limits: Any) -> None:
    add(exported, 1, broken="no graph in it")
    store = ModelStore(exported, "nmt", opener, replace(limits, poll_seconds=0.02))
    with pytest.raises(Refusal, match="version 1: ValueError: no graph in it"):
        store.start(5)


def test_what_is_not_served_is_not_found(make: Callable[..., ModelStore], exported: Path) -> None:
    store = make()
    with pytest.raises(Refusal, match=r"Servable not found for request: Latest\(nmt\)"), store.lease():
        pass
    add(exported, 1)
    look(store)
    with pytest.raises(Refusal, match=r"Servable not found for request: Specific\(nmt, 2\)"), store.lease(2):
        pass
    with store.lease(1) as served:
        assert served.version == 1


def golden(folder: Path, content: Any) -> None:
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "golden.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_version_is_warmed_with_its_golden_inputs(
    make: Callable[..., ModelStore], exported: Path, opener: Opener
) -> None:
    examples = {"inputs": {"text": [{"b64": "YQ=="}, {"b64": "Yg=="}]}, "outputs": {}}
    golden(add(exported, 1), {"signatures": {"echo": examples, "serving_default": examples, "other": examples}})
    look(make())
    assert sorted(opener.models[1].runs) == [("echo", [b"a"]), ("serving_default", [b"a"])]


def test_a_version_that_fails_on_its_golden_inputs_is_refused(
    make: Callable[..., ModelStore], exported: Path, opener: Opener
) -> None:
    golden(add(exported, 1), {"signatures": {"echo": {"inputs": {"text": [{"b64": "YmFk"}]}}}})
    store = make()
    assert not look(store)
    assert store.statuses()[0].message == "bad text"
    assert store.statuses()[0].code == Code.INVALID_ARGUMENT
    assert opener.models[1].closed


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"signatures": 1}', '{"signatures": {"echo": 1}}', "[" * 100_000,
                '{"signatures": {"echo": {"inputs": {"text": [1]}}}}']
)  # fmt: skip
def test_golden_inputs_that_are_none_are_passed_over(
    make: Callable[..., ModelStore], exported: Path, content: str
) -> None:
    golden(add(exported, 1), content)
    assert look(make())


def test_closing_answers_what_waits(make: Callable[..., ModelStore], exported: Path, opener: Opener) -> None:
    add(exported, 1)
    store = make()
    look(store)
    array = np.empty(1, object)
    array[:] = [b"a"]
    with store.lease() as served:
        future = served.batcher.submit("echo", {"text": array}, time.monotonic() + 5)[0]
    store.close(5)
    assert future.result(0)["text"].tolist() == [b"a"]
    assert opener.models[1].closed
