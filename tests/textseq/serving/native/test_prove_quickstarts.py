"""Real exports, of both quickstarts: proved as they are, and not when a bit, a tokenizer or a beam is another."""

from __future__ import annotations

import base64
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from textseq.serving.native import prove
from textseq.serving.native.folder import read_model
from textseq.serving.native.prove import GOLDEN

pytestmark = pytest.mark.slow

TASKS = ("nmt", "classifiers")


@pytest.fixture(scope="module", params=TASKS)
def quickstart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A task, and the folder of its quickstart."""
    pytest.importorskip("tensorflow_text")
    place = tmp_path_factory.mktemp(request.param)
    importlib.import_module(request.param).quickstart(place)
    return request.param, place


@pytest.fixture
def spoilt(quickstart: tuple[str, Path], tmp_path: Path) -> Path:
    """A copy of the export, to be spoilt."""
    return shutil.copytree(quickstart[1] / "export" / "1", tmp_path / "1")


def proved(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(prove.__file__).parent), str(folder)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, env=quiet)


def test_as_it_is(spoilt: Path) -> None:
    done = proved(spoilt)
    assert done.stdout.startswith("proved: ")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_bit_of_a_weight(spoilt: Path, place: float) -> None:
    data = next((spoilt / "variables").glob("*.data-*"))
    content = bytearray(data.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    data.write_bytes(content)
    done = proved(spoilt)
    assert done.stdout.startswith("not proved: the export cannot be loaded: DATA_LOSS"), done.stdout
    assert done.returncode == 1


def test_another_tokenizer(quickstart: tuple[str, Path], spoilt: Path) -> None:
    from textseq.tokenization import TokenizationConfig, Tokenizer
    from textseq.tokenizer_training import train_tokenizer

    model = read_model(spoilt)
    nodes = [node for node in model.meta_graphs[0].graph_def.node if node.op == "SentencepieceOp"]
    assert nodes
    own = Tokenizer(nodes[0].attr["model"].s)
    lines = [f"{own.piece(number)} sleeps".replace("\u2581", "") for number in range(300, 400)]
    other = train_tokenizer(lines, TokenizationConfig(), vocabulary_size=own.vocabulary_size, seed=2)
    assert other.vocabulary_size <= own.vocabulary_size
    for node in nodes:
        node.attr["model"].s = other.model_bytes
    (spoilt / "saved_model.pb").write_bytes(model.SerializeToString())
    done = proved(spoilt)
    assert done.stdout.startswith("not proved: the export differs from the run on "), done.stdout
    assert done.returncode == 1


def test_another_beam(quickstart: tuple[str, Path], spoilt: Path) -> None:
    task, place = quickstart
    if task != "nmt":
        pytest.skip("classifiers search for nothing")
    from nmt.translator import Translator

    golden = json.loads((spoilt / GOLDEN).read_text())
    examples: dict[str, Any] = golden["signatures"]["serving_default"]
    texts = [base64.b64decode(value["b64"]).decode("utf-8", "replace") for value in examples["inputs"]["text"]]
    others = Translator.load(place / "run").translate(texts, beam=1)
    examples["outputs"]["translation"] = [{"b64": base64.b64encode(one.text.encode()).decode()} for one in others]
    examples["outputs"]["score"] = [one.score for one in others]
    (spoilt / GOLDEN).write_text(json.dumps(golden))
    done = proved(spoilt)
    assert done.stdout.startswith("not proved: the export differs from the run on "), done.stdout
    assert "first, serving_default, one by one, input " in done.stdout
    assert done.returncode == 1
