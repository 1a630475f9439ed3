"""Translating with a run: the same alone and in a batch, one translation for each line whatever it holds."""

from __future__ import annotations

import logging
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.ceilings import LONGEST_SOURCE, LONGEST_SOURCE_BYTES, LONGEST_TARGET
from nmt.config import Config
from nmt.search import beam_search
from nmt.translation import Translation
from nmt.translator import Translator
from textseq.errors import CheckpointError, ConfigurationError, InputError, RunDirectoryError
from textseq.run_directory import RunDirectory, write_atomically


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


@pytest.fixture(scope="module")
def lines(tiny_corpus: Path) -> list[str]:
    read = (tiny_corpus / "test.en").read_text(encoding="utf-8").splitlines()
    return [*read[:9], "", "a", " ".join(read[9:13])]


@pytest.fixture
def copied(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def same(one: Translation, other: Translation) -> None:
    assert one.text == other.text
    assert one.score == pytest.approx(other.score, abs=1e-4)
    assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


def test_load_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"none: no run here; expected run\.json; train one with `nmt train`"):
        Translator.load(tmp_path / "none")


def test_load_before_there_are_weights(copied: Path) -> None:
    shutil.rmtree(copied / "best")
    with pytest.raises(
        RunDirectoryError, match=r"no trained weights yet; expected .*best; go on with `nmt train --run"
    ):
        Translator.load(copied)


def test_load_finds_altered_weights(copied: Path) -> None:
    path = copied / "best" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"weights\.safetensors.*copy .*best anew, or delete it and run `train` again"
    ):
        Translator.load(copied)


def test_load_refuses_the_weights_of_another_configuration(copied: Path) -> None:
    config = Config.from_toml(copied / "config.toml").with_overrides(["model.encoder_units=24"])
    write_atomically(copied / "config.toml", config.to_toml())
    with pytest.raises(CheckpointError, match=r"best: the weights are not of this configuration: .*\(48, 16\)"):
        Translator.load(copied)


def test_load_refuses_weights_that_are_incomplete(copied: Path) -> None:
    run = RunDirectory.open(copied, "nmt")
    best = run.read_best()
    assert best is not None
    weights = dict(best.tensors["weights"])
    weights.popitem()
    run.write_best(best.step, {"weights": weights}, best.state)
    with pytest.raises(CheckpointError, match=r"is nothing, expected \(.*restore config.toml and tokenizer/"):
        Translator.load(copied)


def test_load_knows_its_step(translator: Translator) -> None:
    assert translator.step == 14


@pytest.mark.parametrize("beam", [1, 4])
def test_alone_is_as_in_a_batch_in_any_order(translator: Translator, lines: list[str], beam: int) -> None:
    together = translator.translate(lines, beam=beam)
    assert [one.source for one in together] == lines
    assert len({one.text for one in together}) >= 4
    order = random.Random(1).sample(range(len(lines)), len(lines))
    for index, one in zip(order, translator.translate([lines[index] for index in order], beam=beam), strict=True):
        same(one, together[index])
    for index, line in enumerate(lines):
        same(translator.translate([line], beam=beam)[0], together[index])


def test_small_batches_change_nothing(
    translator: Translator, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = translator.translate(lines, beam=2)
    monkeypatch.setattr("nmt.translator.TOKENS_A_BATCH", 40)
    for one, other in zip(translator.translate(lines, beam=2), whole, strict=True):
        same(one, other)


def test_beam_1_is_greedy_search(translator: Translator, lines: list[str]) -> None:
    config, lines = translator.config.search, [lines[1], *lines[-3:-1]]
    for line, translation in zip(lines, translator.translate(lines, beam=1), strict=True):
        ids = [*translator.source_tokenizer.encode([line])[0], translator.source_tokenizer.eos_id]
        encoded = translator.model.encode(np.array([ids], np.int32))
        state = translator.model.start(encoded, 1)
        found, total = [translator.target_tokenizer.bos_id], 0.0
        while len(found) <= int(len(ids) * config.maximum_length_factor) + config.maximum_length_extra:
            log_probabilities, state, _ = translator.model.step(np.array([found[-1:]], np.int32), state, encoded)
            step = np.array(log_probabilities[0, 0])
            step[[translator.target_tokenizer.pad_id, translator.target_tokenizer.bos_id]] = -np.inf
            found.append(int(step.argmax()))
            total += float(step.max())
            if found[-1] == translator.target_tokenizer.eos_id:
                break
        assert translation.target_pieces == tuple(translator.target_tokenizer.piece(one) for one in found[1:])
        assert translation.log_probability == pytest.approx(total, abs=1e-3)


def test_the_run_s_own_beam_is_the_default(translator: Translator, lines: list[str]) -> None:
    for one, other in zip(translator.translate(lines), translator.translate(lines, beam=5), strict=True):
        same(one, other)


def test_batches_are_sized_by_the_beam_asked_for(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[int, list[int]] = {1: [], 4: []}

    def search(beam: int) -> Any:
        def run(source_ids: Any, numbers: Any) -> Any:
            sizes[beam].append(len(source_ids))
            config = translator.config.search.model_copy(update={"beam": beam})
            return beam_search(translator.model, source_ids, config, translator.target_tokenizer)

        return run

    monkeypatch.setattr("nmt.translator.TOKENS_A_BATCH", 64)
    for beam in sizes:
        monkeypatch.setattr(translator, "_compiled", lambda key: search(key[1].beam))
        translator.translate(["a"] * 8, beam=beam)
    assert sizes == {1: [8], 4: [4, 4]}


def test_n_best_is_sorted_and_begins_with_the_best(translator: Translator, lines: list[str]) -> None:
    best = translator.translate(lines, beam=4)
    for one, several in zip(best, translator.translate(lines, beam=4, n_best=3), strict=True):
        assert len(several.n_best) == 3
        scores = [each.score for each in several.n_best]
        assert scores == sorted(scores, reverse=True)
        assert several.n_best[0].text == several.text
        assert len({each.target_pieces for each in several.n_best}) == 3
        assert {each.source for each in several.n_best} == {one.source}
    assert all(one.n_best == () for one in best)


@pytest.mark.parametrize("patience", [1.0, 2.0, None])
def test_who_asks_for_more_gets_the_same_first(tiny_run: Path, lines: list[str], patience: float | None) -> None:
    translator = Translator.load(tiny_run)
    search = translator.config.search.model_copy(update={"patience": patience})
    translator.config = translator.config.model_copy(update={"search": search})
    by_count = [translator.translate(lines[:5], beam=4, n_best=count) for count in (1, 2, 4)]
    for one, two, four in zip(*by_count, strict=True):
        same(one, four)
        for several, more in zip(two.n_best, four.n_best[:2], strict=True):
            same(several, more)


def test_n_best_needs_a_beam_as_wide(translator: Translator) -> None:
    with pytest.raises(ConfigurationError, match="n_best is 6 with a beam of 2; expected at most the beam"):
        translator.translate(["a"], beam=2, n_best=6)


def test_attention_fits_the_pieces(translator: Translator, lines: list[str]) -> None:
    plain = translator.translate(lines, beam=3)
    for one, with_attention in zip(plain, translator.translate(lines, beam=3, attention=True), strict=True):
        same(one, with_attention)
        assert one.attention is None
        attention = with_attention.attention
        assert attention is not None
        assert attention.shape == (len(with_attention.target_pieces), len(with_attention.source_pieces))
        np.testing.assert_allclose(attention.sum(axis=1), 1.0, atol=1e-5)
        assert with_attention.source_pieces[-1] == "</s>"
        assert "".join(with_attention.source_pieces[:-1]).replace("▁", " ").strip() == one.source


def test_sampling_is_a_function_of_the_seed(translator: Translator, lines: list[str]) -> None:
    first = [one.text for one in translator.sample(lines, seed=1)]
    assert first == [one.text for one in translator.sample(lines, seed=1)]
    assert first != [one.text for one in translator.sample(lines, seed=2)]
    likeliest = translator.sample(lines, top_k=1, seed=3)
    assert [one.text for one in likeliest] == [one.text for one in translator.translate(lines, beam=1)]


def test_a_text_that_is_read_in_parts_is_drawn_as_if_read_at_once(translator: Translator, lines: list[str]) -> None:
    text = [lines[0], lines[1], lines[0]]
    whole = [one.text for one in translator.sample(text, seed=1)]
    parts = [translator.sample([line], seed=1, first_line=number)[0].text for number, line in enumerate(text)]
    assert whole == parts
    assert whole[0] != whole[2]


@pytest.mark.parametrize("values", [{"temperature": 0.0}, {"top_k": -1}, {"top_p": 1.5}, {"temperature": float("nan")}])
def test_sampling_refuses_values_out_of_range(translator: Translator, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        translator.sample(["a"], **values)


class KnownCuts:
    """A tokenizer that cuts known texts as search has written them."""

    def __init__(self, tokenizer: Any, translations: list[Translation]) -> None:
        ids = {tokenizer.piece(index): index for index in range(tokenizer.vocabulary_size)}
        self._tokenizer = tokenizer
        self._ids = {one.text: [ids[piece] for piece in one.target_pieces[:-1]] for one in translations}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode(self, texts: list[str]) -> list[list[int]]:
        return [self._ids[text] for text in texts]


def test_score_is_the_log_probability_of_a_translation(tiny_run: Path, lines: list[str]) -> None:
    translator = Translator.load(tiny_run)
    found = [one for line in translator.translate(lines, beam=5, n_best=5) for one in line.n_best]
    found = [one for one in found if one.text and one.target_pieces[-1] == "</s>"]
    assert len(found) >= 8
    translator.target_tokenizer = KnownCuts(translator.target_tokenizer, found)  # type: ignore[assignment]
    scores = translator.score([one.source for one in found], [one.text for one in found])
    np.testing.assert_allclose(scores, [one.log_probability for one in found], atol=1e-3)


def test_score_is_the_same_alone_and_in_a_batch(
    translator: Translator, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, targets = ((tiny_corpus / f"test.{side}").read_text("utf-8").splitlines() for side in ("en", "de"))
    sources, targets = [*sources, "", "a"], [*targets, "b", ""]
    together = translator.score(sources, targets)
    assert all(value < 0 for value in together)
    alone = [translator.score([one], [other])[0] for one, other in zip(sources, targets, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-3, rtol=1e-5)
    monkeypatch.setattr("nmt.translator.TOKENS_A_BATCH", 60)
    np.testing.assert_allclose(translator.score(sources, targets), together, atol=1e-3, rtol=1e-5)
    assert translator.score([], []) == []


def test_a_very_long_translation_is_scored_up_to_the_ceiling_and_it_is_said(
    translator: Translator, caplog: pytest.LogCaptureFixture
) -> None:
    fits = "é" * (LONGEST_TARGET // 2 - 1)  # in two bytes, two tokens each, besides one for the start of a word
    assert len(translator.target_tokenizer.encode([fits])[0]) == LONGEST_TARGET - 1
    whole = translator.score(["a dog"], [fits])[0]
    assert caplog.messages == []
    scores, cuts = translator.score_and_cuts(["a dog"] * 3, [fits + "é", "ein Hund", fits + "é" * 5000])
    assert cuts == {0, 2}
    assert scores[0] == pytest.approx(scores[2], rel=1e-6)
    # The same tokens, but the end does not count: it does not come there.
    assert whole < scores[0] < scores[1] < 0
    assert caplog.messages == [
        f"2 of 3 translations have more than {LONGEST_TARGET - 1} tokens, the longest {LONGEST_TARGET + 9999}; only so "
        "many are read of each: score every sentence on a line of its own"
    ]


def test_score_says_of_either_side_that_it_was_cut(translator: Translator) -> None:
    _, cuts = translator.score_and_cuts(["a dog", "dog " * LONGEST_SOURCE], ["ein Hund", "ein Hund"])
    assert cuts == {1}


def test_score_needs_as_many_of_each(translator: Translator) -> None:
    with pytest.raises(InputError, match="received 2 sources and 1 targets; expected as many of each"):
        translator.score(["a", "b"], ["a"])


@pytest.mark.parametrize("call", ["translate", "sample"])
def test_one_text_in_place_of_a_list(translator: Translator, call: str) -> None:
    with pytest.raises(InputError, match=r"received one text, expected a list of lines; write \['A man'\]"):
        getattr(translator, call)("A man")


def test_no_lines(translator: Translator) -> None:
    assert translator.translate([]) == []
    assert translator.sample([]) == []


HOSTILE = [
    "",
    " \t ",
    "nul \x00 nul",
    "lone \ud800 surrogate",
    "old\rmac",
    "dos\r",
    "two\nlines",
    "\u2028",
    "\x85",
    "ሰው",
]


@pytest.mark.parametrize("attention", [False, True])
def test_one_translation_for_each_line_whatever_it_holds(translator: Translator, attention: bool) -> None:
    translations = translator.translate(HOSTILE, attention=attention, n_best=2)
    assert len(translations) == len(HOSTILE)
    assert [one.text for one in translations[:2]] == ["", ""]
    assert translations[3].source == "lone \ufffd surrogate"
    for one in translations:
        one.text.encode()
        assert one.to_dict()["text"] == one.text
    assert len(translator.sample(HOSTILE)) == len(HOSTILE)
    assert len(translator.score(HOSTILE, HOSTILE[::-1])) == len(HOSTILE)


@pytest.mark.parametrize("line", ["x" * 100_000, "word " * 20_000, "\x00" * 100_000, "語" * 100_000, " " * 100_000])
def test_a_line_of_100_000_characters_is_cut_and_it_is_said(
    translator: Translator, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    short, long, other = translator.translate(["a", line, "b"], beam=1)
    same(short, translator.translate(["a"], beam=1)[0])
    same(other, translator.translate(["b"], beam=1)[0])
    assert (short.truncated, other.truncated) == (False, False)
    tokens = len(translator.source_tokenizer.encode([line])[0])
    assert long.truncated and long.to_dict()["truncated"] is True
    assert len(long.source_pieces) == min(tokens + 1, LONGEST_SOURCE)
    assert caplog.messages == [
        f"1 of 3 lines have more than {LONGEST_SOURCE_BYTES} bytes; only so many, and of these {LONGEST_SOURCE - 1} "
        "tokens, are read of each: put every sentence on a line of its own"
    ]
    if not tokens:
        assert long.text == ""


def test_a_line_of_many_tokens_is_cut_and_it_is_said(translator: Translator, caplog: pytest.LogCaptureFixture) -> None:
    line = "word " * 2_000
    short, long = translator.translate(["a", line], beam=1)
    assert (short.truncated, long.truncated) == (False, True)
    assert len(long.source_pieces) == LONGEST_SOURCE
    tokens = len(translator.source_tokenizer.encode([line])[0])
    assert caplog.messages == [
        f"1 of 2 lines have more than {LONGEST_SOURCE - 1} tokens, the longest {tokens}; only so many are read of "
        "each: put every sentence on a line of its own"
    ]


def test_the_ceiling_cuts_no_token_too_many(translator: Translator, caplog: pytest.LogCaptureFixture) -> None:
    fits = "é" * 255  # in two bytes, two tokens each, besides one for the start of a word
    assert len(translator.source_tokenizer.encode([fits])[0]) == LONGEST_SOURCE - 1
    (whole,) = translator.translate([fits], beam=1)
    assert not whole.truncated and len(whole.source_pieces) == LONGEST_SOURCE
    assert "truncated" not in whole.to_dict()
    assert caplog.messages == []
    (cut,) = translator.translate([fits + "é"], beam=1)
    assert cut.truncated
    same(cut, whole)


def test_nothing_is_said_of_ordinary_lines(
    translator: Translator, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="nmt"):
        translator.translate(lines, beam=1)
    assert caplog.messages == []


@pytest.mark.parametrize("lines", [[None], ["a", 3], [b"a"], 5, None])
def test_what_is_no_text_is_refused(translator: Translator, lines: Any) -> None:
    with pytest.raises(InputError, match=r"received (NoneType|int|bytes|5|None)"):
        translator.translate(lines)
