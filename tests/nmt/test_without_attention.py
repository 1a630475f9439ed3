"""A translator with `model.attention=none`, from training to the export: all but the alignment."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt import cli
from nmt.config import Config
from nmt.evaluate import evaluate
from nmt.train import train
from nmt.translator import Translator
from textseq.console import run_command
from textseq.errors import InputError
from textseq.run_directory import RunDirectory

REFUSED = r"^attention: this model has none, its model.attention is none; leave attention and alignments out"


@pytest.fixture(scope="module")
def config(tiny_config: Config) -> Config:
    return tiny_config.with_overrides(
        ["model.attention=none", "training.checkpoint_minutes=0", "model.word_dropout=0.1"]
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Path:
    run = tmp_path_factory.mktemp("without") / "run"
    train(config, run)
    return run


@pytest.fixture(scope="module")
def translator(run: Path) -> Translator:
    return Translator.load(run)


@pytest.fixture(scope="module")
def lines(tiny_corpus: Path) -> list[str]:
    return [*(tiny_corpus / "test.en").read_text(encoding="utf-8").splitlines()[:6], ""]


def test_its_configuration_says_so(run: Path) -> None:
    assert '\nattention = "none"\n' in (run / "config.toml").read_text(encoding="utf-8")
    assert not any("query" in name or "energy" in name for name in weights_of(run))


def weights_of(run: Path) -> dict[str, str]:
    best = RunDirectory.open(run, "nmt").read_best()
    assert best is not None
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in best.tensors["weights"].items()}


@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_bits(
    run: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nmt.task import TranslationTask

    class Killed(BaseException):
        pass

    arrays, begun = TranslationTask.arrays, [0]

    def arrays_or_die(self: TranslationTask, batch: Any, epoch: int) -> Any:
        begun[0] += 1
        if begun[0] == 4:
            raise Killed
        return arrays(self, batch, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(TranslationTask, "arrays", arrays_or_die)
        with pytest.raises(Killed):
            train(config, tmp_path / "killed")
    told: list[str] = []
    train(config, tmp_path / "killed", progress=lambda record: told.append(str(record.get("message", ""))))
    assert any(text.startswith("resuming at step 3") for text in told)
    assert weights_of(tmp_path / "killed") == weights_of(run)


def test_searches_agree(translator: Translator, lines: list[str]) -> None:
    together = translator.translate(lines, beam=3, n_best=2)
    for line, found in zip(lines, together, strict=True):
        (alone,) = translator.translate([line], beam=3)
        assert alone.text == found.text
        assert alone.log_probability == pytest.approx(found.log_probability, abs=1e-4)
    drawn = translator.sample(lines, seed=3)
    assert [one.text for one in drawn] == [one.text for one in translator.sample(lines, seed=3)]


def test_score_is_the_log_probability_of_a_translation(translator: Translator, lines: list[str]) -> None:
    # Where the text is cut as search wrote it.
    found = [
        one
        for one in translator.translate(lines[:-1], beam=1)
        if one.target_pieces[-1:] == ("</s>",)
        and [*translator.target_tokenizer.pieces(one.text), "</s>"] == list(one.target_pieces)
    ]
    scores = translator.score([one.source for one in found], [one.text for one in found])
    np.testing.assert_allclose(scores, [one.log_probability for one in found], atol=1e-3)


def test_attention_is_refused(translator: Translator, lines: list[str]) -> None:
    assert not translator.aligns
    with pytest.raises(InputError, match=REFUSED):
        translator.translate(lines, attention=True)
    (translation,) = translator.translate(lines[:1])
    assert translation.attention is None
    with pytest.raises(InputError, match="this translation has no attention"):
        translation.plot()


def test_evaluate(run: Path, tiny_corpus: Path) -> None:
    evaluation = evaluate(run, tiny_corpus / "test.en", tiny_corpus / "test.de", beam=2, by_length=True)
    assert sum(one.lines for one in evaluation.lengths) == 20
    assert 0 <= evaluation.scores["bleu"].value <= 100


def test_the_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_text("The old man sleeps .\n", encoding="utf-8")
    arguments = ["translate", "--run", str(run), "--input", str(tmp_path / "in.txt")]
    given = tmp_path / "out.jsonl"
    assert run_command(cli.app, "nmt", [*arguments, "--json", "--output", str(given)], resumable=()) == 0
    (line,) = given.read_text(encoding="utf-8").splitlines()
    assert "text" in json.loads(line) and "alignment" not in json.loads(line)
    assert run_command(cli.app, "nmt", [*arguments, "--align"], resumable=()) == 2
    assert "error: attention: this model has none" in capsys.readouterr().err


@pytest.mark.slow
def test_the_export_is_proved_and_has_no_alignment(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_text")
    from nmt.export import export

    version = export(run, tmp_path / "out")
    report = json.loads((version / "assets.extra" / "proof.json").read_text(encoding="utf-8"))
    assert sorted(report["inputs"]) == ["n_best", "score", "serving_default"]
    assert report["differences"] == []
