"""The tokenizer in the graph equals the eager one: same ids, same text, on every script and any bytes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textseq.errors import InputError
from textseq.text_start import text_start
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import train_tokenizer

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from textseq.graph_tokenization import GraphTokenizer, text_starts  # noqa: E402

Twins = tuple[Tokenizer, GraphTokenizer]

SCRIPTS = {
    "Yoruba, Latin with diacritics": "mafand/en-yor/train.yor",
    "Cherokee": "chren/train.chr",
    "Amharic, Ethiopic": "afrisenti/amh/train.tsv",
    "Japanese": "small_parallel_enja/train.ja",
    "Arabic": "umsab/arabic/train.tsv",
    "Hindi, Devanagari": "umsab/hindi/train.tsv",
    "tweets with emoji": "umsab/spanish/train.tsv",
    "Belarusian, Cyrillic": "ted_lowres/be-en/train.be",
    "Azerbaijani": "ted_lowres/az-en/train.az",
    "German": "multi30k/train.de",
    "Vietnamese": "iwslt15_en_vi/train.vi",
    "escapes": "semeval2017_4a/twitter-2016test-A.tsv",
}
SYMBOLS = ("<tag>", "⟨x⟩", "...a")
SETTINGS = [
    {"algorithm": algorithm, "byte_fallback": byte_fallback, "user_defined_symbols": symbols}
    for algorithm in ("bpe", "unigram")
    for byte_fallback, symbols in ((True, ()), (True, SYMBOLS), (False, ()))
]


def built(lines: Sequence[str], vocabulary_size: int, **setting: object) -> Twins:
    config = TokenizationConfig.model_validate(setting)
    eager = train_tokenizer(lines, config, vocabulary_size=vocabulary_size, seed=1)
    return eager, GraphTokenizer(eager.model_bytes)


def assert_equal(twins: Twins, texts: Sequence[str]) -> None:
    eager, graph = twins
    expected = eager.encode(texts)
    ids = graph.encode(tf.constant(list(texts), tf.string))
    assert ids.dtype == tf.int32
    assert ids.to_list() == expected
    assert [text.decode() for text in graph.decode(ids).numpy()] == eager.decode_batch(expected)


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda setting: "-".join(map(str, setting.values())))
def twins(request: pytest.FixtureRequest) -> Twins:
    text = [
        "the man <tag> sees . . . a house ... and -- -- so on .... ...a",
        "größe 日本 ⟨x⟩ über",
        "😀 1,000 a a aa aaa",
    ]
    return built(text * 5, 420, **request.param)


@pytest.fixture(scope="module")
def lines(corpora: Path) -> dict[str, list[str]]:
    scripts = {}
    for script, name in SCRIPTS.items():
        with (corpora / name).open(encoding="utf-8", newline="\n") as file:
            scripts[script] = [line.rstrip("\n") for line in itertools.islice(file, 300)]
    return scripts


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: "-".join(map(str, setting.values())))
def test_real_lines(lines: dict[str, list[str]], setting: dict[str, object]) -> None:
    real = built(list(itertools.chain.from_iterable(lines.values())), 6000, **setting)
    for texts in lines.values():
        assert_equal(real, texts)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(), max_size=4))
@example(["", " ", "\0", "a\0b", "\ufeffa", "a▁b", "▅", "<s></s><0x41>", "\ufffd", "a\u0338", "<tag>\u0338", "\u2028"])
def test_any_text(twins: Twins, texts: list[str]) -> None:
    assert_equal(twins, texts)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([*" .-a,1日ㄅ😀\0▁", "<tag>", "⟨x⟩", "...", "größe"]), max_size=300).map("".join))
def test_ties(twins: Twins, text: str) -> None:
    """Repeated pieces: segmentations that differ in the order of their pieces only."""
    assert_equal(twins, [text])


def test_long_lines(twins: Twins) -> None:
    draw = random.Random(5)
    alphabet = [*" .-a日ㄅ", "man ", "größe"]
    mixed = ["<tag>".join("".join(draw.choices(alphabet, k=300)) for _ in range(200))[:100_000] for _ in range(3)]
    assert_equal(twins, [*mixed, "." * 100_000, "ㄅ" * 50_000 + "." * 50_000, "\0" * 100_000, " " * 100_000])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=4))
@example([b"\xff", b"a\xe6\x97b", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\x80", b"\xef\xbb\xbfa", b"\xf4\x90\x80\x80"])
def test_bytes_that_are_not_utf8(twins: Twins, texts: list[bytes]) -> None:
    eager, graph = twins
    expected = eager.encode([text.decode("utf-8", errors="replace") for text in texts])
    assert graph.encode(tf.constant(texts, tf.string)).to_list() == expected


def test_replacement_characters_are_counted_alike() -> None:
    """Under normalization "identity" U+FFFD is kept, so the number of them shows."""
    identity = built(["some text", "\ufffd"], 330, normalization="identity")
    draw = random.Random(6)
    pool = [*b"A\x80\xbf\xc2\xe0\xa0\xed\x9f\xef\xbb\xf0\x90\xf4\x8f\xff"]
    texts = [bytes(draw.choices(pool, k=draw.randrange(1, 9))) for _ in range(3000)]
    expected = identity[0].encode([text.decode("utf-8", errors="replace") for text in texts])
    assert identity[1].encode(tf.constant(texts)).to_list() == expected
    assert any(identity[0].decode(ids).count("\ufffd") > 1 for ids in expected)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10_000), max_size=12), max_size=4))
@example([[0, 1, 2, 3], [], [2, 2], [0] * 5])
def test_any_ids(twins: Twins, rows: list[list[int]]) -> None:
    """What a model may emit: bytes without their fellows, special ids in the middle, spaces in a row."""
    eager, graph = twins
    for modulus in (eager.vocabulary_size, min(300, eager.vocabulary_size)):
        ids = [[piece_id % modulus for piece_id in row] for row in rows]
        expected = eager.decode_batch(ids)
        ragged = tf.ragged.constant(ids, dtype=tf.int32, ragged_rank=1)
        assert [text.decode() for text in graph.decode(ragged).numpy()] == expected
        lengths = tf.constant([len(row) for row in ids], tf.int32)
        padded = ragged.to_tensor(default_value=eager.eos_id)
        assert [text.decode() for text in graph.decode(padded, lengths).numpy()] == expected


def test_lengths_decide_what_is_read(twins: Twins) -> None:
    eager, graph = twins
    ids = eager.encode(["the man"])[0]
    padded = tf.constant([ids + ids, ids + ids], tf.int32)
    texts = graph.decode(padded, tf.constant([len(ids), 0])).numpy().tolist()
    assert texts == [b"the man", b""]


def test_empty_batches(twins: Twins) -> None:
    graph = twins[1]
    assert graph.encode(tf.constant([], tf.string)).to_list() == []
    assert graph.decode(tf.zeros([0, 3], tf.int32)).shape == (0,)
    assert graph.decode(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]


def test_ids_outside_are_an_error(twins: Twins) -> None:
    with pytest.raises(tf.errors.OutOfRangeError, match="Invalid id"):
        twins[1].decode(tf.constant([[10_000]]))


def test_travels_in_a_saved_model(twins: Twins, tmp_path: Path) -> None:
    class Echo(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = twins[1]

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def __call__(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            ids = self.tokenizer.encode(text)
            return {"ids": ids.to_tensor(), "text": self.tokenizer.decode(ids)}

    echo = Echo()
    tf.saved_model.save(echo, str(tmp_path / "echo"))
    loaded = tf.saved_model.load(str(tmp_path / "echo"))
    texts = ["the man", "", "日本 \0 größe ⟨x⟩"]
    result = loaded.signatures["serving_default"](text=tf.constant(texts))
    assert [text.decode() for text in result["text"].numpy()] == twins[0].decode_batch(twins[0].encode(texts))
    np.testing.assert_array_equal(result["ids"].numpy(), twins[1].encode(tf.constant(texts)).to_tensor().numpy())


def test_bad_model() -> None:
    with pytest.raises(InputError, match="are not a SentencePiece model"):
        GraphTokenizer(b"not a model")


def test_only_this_file_imports_tensorflow_text() -> None:
    root = Path(__file__).resolve().parents[2]
    sources = [path for package in ("textseq", "nmt", "classifiers") for path in (root / package).rglob("*.py")]
    importing = [path.name for path in sources if "import tensorflow_text" in path.read_text("utf-8")]
    assert importing == ["graph_tokenization.py"]


# U+FFFD for each kind of bytes that are no UTF-8, and characters of every size, near the ceiling.
PARTS = [character.encode() for character in ("a", " ", "ö", "語", "😀", "\x00", "\ufeff", "e\u0301")] + [
    *(b"\xff", b"\xe2\x82", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc0\xaf", b"\x80", b"\xf4\x90\x80\x80"),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PARTS) | st.binary(max_size=5), max_size=14).map(b"".join), st.integers(4, 24))
@example("語語語".encode(), 8)
@example(b"\xf0\x9f\x98\x80" * 3, 7)
@example(b"\xff" * 30, 7)
def test_the_start_of_a_text_ends_at_the_same_place(text: bytes, most: int) -> None:
    whole = text.decode("utf-8", "replace")
    start, cut = text_starts(tf.constant([text, b"mate"]), most)
    expected = text_start(whole, most)
    assert start.numpy().tolist() == [expected.encode(), b"mate"]
    assert cut.numpy().tolist() == [len(expected) < len(whole), False]
