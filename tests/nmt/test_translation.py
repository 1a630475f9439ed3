"""Translation objects: how they print, draw, align and become JSON."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.translation import Translation
from tests.html_document import Document
from textseq.errors import InputError


def german() -> Translation:
    return Translation(
        source="A man sleeps.",
        text="Ein Mann schläft.",
        score=-0.25,
        log_probability=-1.5,
        source_pieces=("▁A", "▁man", "▁sleep", "s", ".", "</s>"),
        target_pieces=("▁Ein", "▁Mann", "▁sch", "läft", ".", "</s>"),
        attention=np.array(
            [
                [0.9, 0.1, 0.0, 0.0, 0.0, 0.0],
                [0.1, 0.8, 0.0, 0.1, 0.0, 0.0],
                [0.0, 0.4, 0.3, 0.3, 0.0, 0.0],
                [0.0, 0.1, 0.1, 0.7, 0.1, 0.0],
                [0.0, 0.0, 0.0, 0.1, 0.2, 0.7],
                [0.0, 0.0, 0.0, 0.0, 0.5, 0.5],
            ],
            dtype=np.float32,
        ),
    )


def test_prints_as_its_text_and_shows_its_fields() -> None:
    translation = german()
    assert str(translation) == f"{translation}" == "Ein Mann schläft."
    assert "score=-0.25" in repr(translation)
    assert "array" not in repr(translation)


def test_translations_compare_and_hash_by_value() -> None:
    assert german() == german()
    assert len({german(), german()}) == 1
    assert german() != Translation("A man sleeps.", "Ein Mann.", -0.25, -1.5)


def test_alignment_of_pieces() -> None:
    # "." looked most at the source's "</s>", so it stands alone; the target's "</s>" never takes part.
    assert german().alignment == [(0, 0), (1, 1), (1, 2), (3, 3)]


def test_alignment_of_words() -> None:
    translation = german()
    assert translation.source_words == ("A", "man", "sleeps.")
    assert translation.target_words == ("Ein", "Mann", "schläft.")
    # "schläft." takes the mean of its three rows: 0.47 from the pieces of "sleeps.", 0.17 from "man".
    assert translation.word_alignment == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (("▁a", "b", "▁c", "</s>"), ("ab", "c")),
        (("▁", "a", "▁", "b", "</s>"), ("a", "b")),
        (("▁", "猫", "が", "</s>"), ("猫が",)),
        (("▁", "</s>"), ()),
        (("</s>",), ()),
        ((), ()),
        (("a▁b", "c"), ("a", "bc")),
        (("▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "!"), ("😀!",)),
        (("▁<0xFF>",), ("\ufffd",)),
    ],
)
def test_words_of_pieces(pieces: tuple[str, ...], words: tuple[str, ...]) -> None:
    attention = np.full((1, len(pieces)), 0.1, np.float32)
    translation = Translation("", "x", 0.0, 0.0, pieces, ("▁x",), attention)
    assert translation.source_words == words
    assert all(source < max(len(words), 1) and target == 0 for source, target in translation.word_alignment)


def test_a_mark_alone_belongs_to_the_word_after_it() -> None:
    attention = np.array([[0.4, 0.1, 0.3, 0.2]], np.float32)
    translation = Translation("a b", "x", 0, 0, ("▁", "a", "▁b", "</s>"), ("▁x",), attention)
    assert translation.word_alignment == [(0, 0)]
    swapped = np.array([[0.1, 0.1, 0.3, 0.2]], np.float32)
    assert Translation("a b", "x", 0, 0, ("▁", "a", "▁b", "</s>"), ("▁x",), swapped).word_alignment == [(1, 0)]


@given(st.data())
def test_alignments_name_real_pieces_and_words(data: st.DataObject) -> None:
    piece = st.sampled_from(["▁", "▁a", "b", "▁c▁", "<0xE3>"])
    source, target = ((*data.draw(st.lists(piece, max_size=6)), "</s>") for _ in range(2))
    seed = data.draw(st.integers(0, 99))
    attention = np.random.RandomState(seed).rand(len(target), len(source)).astype(np.float32)
    translation = Translation("s", "t", -1.0, -1.0, source, target, attention)
    for pairs, sources, targets in (
        (translation.alignment, source[:-1], target[:-1]),
        (translation.word_alignment, translation.source_words, translation.target_words),
    ):
        assert [pair[1] for pair in pairs] == sorted({pair[1] for pair in pairs})
        assert all(0 <= i < len(sources) and 0 <= j < len(targets) for i, j in pairs)
    joined = "".join(source[:-1]).replace("▁", " ").split()
    assert len(translation.source_words) == len(joined)


def test_words_are_those_of_a_real_line(corpora: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    lines = (corpora / "multi30k" / "val.de").read_text(encoding="utf-8").splitlines()[:300]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=600, model_type="bpe", byte_fallback=True,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    for line in lines[:100]:
        pieces = (*processor.encode(line, out_type=str), "</s>")
        assert Translation(line, "", 0, 0, source_pieces=pieces).source_words == tuple(line.split())


def test_dictionary_is_strict_json() -> None:
    candidates = (german(), Translation("A man sleeps.", "Mann schläft.", -0.5, float("-inf")))
    values = Translation("a\ud800", "b", float("nan"), -1.0, n_best=candidates).to_dict()
    answer = json.loads(json.dumps(values, allow_nan=False))
    assert answer["score"] is None
    assert answer["n_best"][1] == {"text": "Mann schläft.", "score": -0.5, "log_probability": None}
    assert "attention" not in answer
    answer = json.loads(json.dumps(german().to_dict(), allow_nan=False))
    assert answer["text"] == "Ein Mann schläft."
    assert answer["attention"][0] == [0.9, 0.1, 0.0, 0.0, 0.0, 0.0]
    assert answer["alignment"] == [[0, 0], [1, 1], [1, 2], [3, 3]]
    assert answer["word_alignment"] == [[0, 0], [1, 1], [2, 2]]
    assert "n_best" not in answer


def test_notebook_shows_text_and_heat_map() -> None:
    document = Document(german()._repr_html_())
    assert document.count("td") == 6 * 6 + 1
    assert document.count("th") == 6 + 6
    assert "Ein Mann schläft." in document.text
    assert "▁schläft"[:4] in document.text
    assert ("table", "ltr") in [(tag, attributes.get("dir")) for tag, attributes in document.elements]
    shades = [attributes["title"] for tag, attributes in document.elements if tag == "td" and "title" in attributes]
    assert shades[:2] == ["0.900", "0.100"]


def test_notebook_shows_right_to_left_text_in_its_direction() -> None:
    pieces = ("▁الرجل", "▁ينام", "</s>")
    html = Translation("الرجل ينام", "x", -1, -1, pieces, ("▁x",), np.ones((1, 3), np.float32) / 3)._repr_html_()
    document = Document(html)
    assert [attributes.get("dir") for tag, attributes in document.elements if tag == "table"] == ["rtl"]
    spans = [attributes.get("dir") for tag, attributes in document.elements if tag in ("span", "strong")]
    assert spans
    assert set(spans) == {"auto"}
    assert "▁الرجل" in document.text


@given(st.text(max_size=20), st.text(max_size=20))
def test_html_is_whole_and_harmless_whatever_the_text(source: str, piece: str) -> None:
    nasty = source + "<script>alert('1')</script>&\x00\u202e"
    attention = np.array([[1.0, np.nan]], np.float32)
    candidate = Translation(nasty, nasty, -1, -1)
    html = Translation(nasty, nasty, -1, -1, (piece, nasty), (nasty,), attention, (candidate, candidate))._repr_html_()
    html.encode("utf-8")
    document = Document(html)
    assert document.count("script") == 0
    assert document.text.count("<script>alert('1')</script>&") == 6
    assert "\x00" not in html
    assert "\u202e" not in html


def test_n_best_is_listed_with_scores() -> None:
    other = Translation("A man sleeps.", "Mann schläft.", -0.5, -2.0)
    document = Document(Translation("A man sleeps.", "x", -0.25, -1.5, n_best=(german(), other))._repr_html_())
    assert document.count("li") == 2
    assert "Mann schläft. -0.500" in document.text


def test_without_attention() -> None:
    translation = Translation("Good day", "Guten Tag", -0.1, -0.3)
    assert Document(translation._repr_html_()).count("table") == 0
    for use, words in (
        (lambda: translation.alignment, "alignment: this translation has no attention; translate with attention=True"),
        (lambda: translation.word_alignment, "word alignment: this translation has no attention"),
        (translation.plot, "plot: this translation has no attention"),
    ):
        with pytest.raises(InputError, match=words):
            use()


def test_large_heat_maps_are_not_put_into_a_page() -> None:
    pieces = ("▁a",) * 150
    html = Translation("a", "a", -1, -1, pieces, pieces, np.zeros((150, 150), np.float32))._repr_html_()
    assert "The heat map is too large to show here; plot(path) writes it to a file." in Document(html).text
    assert len(html) < 1000


def test_empty_text_is_legal() -> None:
    translation = Translation("", "", -0.1, -0.1, ("</s>",), ("</s>",), np.ones((1, 1), np.float32))
    assert translation.alignment == translation.word_alignment == []
    assert Document(translation._repr_html_()).count("table") == 1
    json.dumps(translation.to_dict(), allow_nan=False)


def test_attention_of_a_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"received shape \(2, 3\); expected \(target, source\) = \(1, 3\), one row"):
        Translation("a", "b", 0, 0, ("a", "b", "c"), ("x",), np.zeros((2, 3)))


def test_plot_writes_the_heat_map(tmp_path: Path) -> None:
    figure: Any = german().plot(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(german().source_pieces)


def test_importing_does_not_import_matplotlib() -> None:
    code = "import sys, nmt.translation; print([m for m in ('matplotlib', 'tensorflow', 'keras') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert result.stdout.strip() == "[]"
