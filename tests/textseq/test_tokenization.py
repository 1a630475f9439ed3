"""Tokenization: training never fails on odd text, sampling is a pure function, ids come back as text."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from textseq.errors import ConfigurationError, InputError, RunDirectoryError
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import choose_vocabulary_size, train_tokenizer

ALGORITHMS = ("bpe", "unigram")
WORDS = "the a man woman dog reads sees sleeping walks house tree über größe Straße läuft schläft".split()  # noqa: SIM905
REPOSITORY = Path(__file__).resolve().parents[2]


def sentences(count: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randrange(3, 9))) + "." for _ in range(count)]


def train(lines: list[str], vocabulary_size: int = 400, seed: int = 1, **setting: object) -> Tokenizer:
    config = TokenizationConfig.model_validate(setting)
    return train_tokenizer(lines, config, vocabulary_size=vocabulary_size, seed=seed)


@pytest.fixture(scope="module", params=ALGORITHMS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train(sentences(400), 340, algorithm=request.param)


class TestTraining:
    def test_special_ids(self, tokenizer: Tokenizer) -> None:
        assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
        assert [tokenizer.piece(piece_id) for piece_id in range(4)] == ["<pad>", "<unk>", "<s>", "</s>"]
        assert len(tokenizer) == tokenizer.vocabulary_size <= 340

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("vocabulary_size", [400, 32_000])
    @pytest.mark.parametrize(
        "lines",
        [
            ["a"],
            ["hello world"],
            ["😀"],
            ["a\0b", "\0"],
            ["a\tb"],
            ["\u2585x"],
            ["a\ud800b"],
            ["<s> <unk> </s> <0x41>"],
            ["x" * 100_000],
            ["日本語 です" * 20_000],
            ["", "  ", "a"],
            ["one\r", "two\u2028three"],
        ],
    )
    def test_never_fails_on_small_or_odd_text(self, lines: list[str], algorithm: str, vocabulary_size: int) -> None:
        trained = train(lines, vocabulary_size, algorithm=algorithm)
        assert 260 < trained.vocabulary_size <= vocabulary_size
        text = "an unseen ∂ 日 \0."
        assert trained.decode(trained.encode([text])[0]) == text

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_every_training_line_counts(self, algorithm: str) -> None:
        """A line with NUL or TAB in it, or a very long one, is not skipped: its letters are in the vocabulary."""
        lines = ["ordinary", "q\0q", "j\tj", "\u2585z", "w" * 70_000, "x y " * 30_000]
        trained = train(lines, algorithm=algorithm, character_coverage=1.0)
        pieces = {trained.piece(piece_id) for piece_id in range(trained.vocabulary_size)}
        assert set("qjzwxy") <= pieces

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_same_text_gives_the_same_bytes(self, algorithm: str) -> None:
        lines = sentences(300)
        assert train(lines, algorithm=algorithm) == train(lines, algorithm=algorithm)

    def test_of_a_large_corpus_a_sample_is_read(self) -> None:
        lines = sentences(300)
        seeds = [train(lines, seed=seed, max_training_sentences=20).model_bytes for seed in (1, 1, 2)]
        assert seeds[0] == seeds[1] != seeds[2]
        assert train(lines, seed=1) == train(lines, seed=2), "a corpus that fits is read whole, whatever the seed"

    def test_the_sample_is_spread_evenly(self) -> None:
        from textseq.tokenizer_training import _sampled

        counts = np.zeros(10)
        for seed in range(300):
            for line in _sampled((str(index) for index in range(100)), 20, seed):
                counts[int(line) // 10] += 1
        assert counts.sum() == 6000
        assert np.all(np.abs(counts - 600) < 90), "four standard deviations of a binomial"

    def test_reads_an_iterator_once_and_leaves_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        train_tokenizer(iter(sentences(50)), TokenizationConfig(), vocabulary_size=330, seed=1)
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_printed(self) -> None:
        code = (
            "from textseq.tokenization import *\n"
            "from textseq.tokenizer_training import *\n"
            "for algorithm in ('bpe', 'unigram'):\n"
            "    config = TokenizationConfig(algorithm=algorithm)\n"
            "    made = train_tokenizer(['a b c'] * 9 + ['\\0'], config, vocabulary_size=900, seed=1)\n"
            "    made.sample(['a \\0 b'], amount=0.5, seed=1)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=True)
        assert (done.stdout, done.stderr) == (b"", b"")

    @pytest.mark.parametrize("lines", [[], ["", "   "], ["\0"], ["▁"], ["\x01", "\ufffd"]])
    def test_no_text(self, lines: list[str]) -> None:
        with pytest.raises(InputError, match=r"no text to learn a vocabulary from: .* expected one line or more"):
            train(lines)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_a_size_without_room_names_the_least_that_works(self, algorithm: str) -> None:
        lines = sentences(100)
        for size in (1, 260):
            with pytest.raises(ConfigurationError, match=rf"received {size}; expected 261 or more \(4 spec"):
                train(lines, size, algorithm=algorithm)
        message = (
            r"^vocabulary_size: received 270; expected (\d+) or more \(4 special pieces, 256 bytes, \d+ characters\)"
        )
        with pytest.raises(ConfigurationError, match=message) as caught:
            train(lines, 270, algorithm=algorithm)
        least = int(str(caught.value).split("expected ")[1].split()[0])
        assert train(lines, least, algorithm=algorithm).vocabulary_size <= least
        with pytest.raises(ConfigurationError, match="leave it out to have it chosen"):
            train(lines, least - 1, algorithm=algorithm)

    def test_without_bytes_a_small_vocabulary_is_allowed(self) -> None:
        small = train(sentences(100), 60, byte_fallback=False)
        assert small.vocabulary_size == 60
        assert small.unk_id in small.encode(["日"])[0]
        assert "⁇" in small.decode(small.encode(["日"])[0])


class TestSymbols:
    SYMBOLS = ("<tag>", "⟨x⟩", "a,b", '"q"')

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_stay_whole_in_every_draw(self, algorithm: str) -> None:
        trained = train(sentences(200), algorithm=algorithm, user_defined_symbols=self.SYMBOLS)
        texts = [f"the {symbol} man{symbol}s" for symbol in self.SYMBOLS]
        for ids in (trained.encode(texts), *(trained.sample(texts, amount=0.5, seed=seed) for seed in range(20))):
            for symbol, row, text in zip(self.SYMBOLS, ids, texts, strict=True):
                assert [trained.piece(piece_id) for piece_id in row].count(symbol) == 2
                assert trained.decode(row) == text

    def test_a_symbol_that_normalization_rewrites(self) -> None:
        assert "①" in train(sentences(50), user_defined_symbols=("①",)).pieces("a①b")
        with pytest.raises(ConfigurationError, match=r"'①' is rewritten by normalization 'nmt_nfkc'; .*choose another"):
            train(sentences(50), algorithm="unigram", user_defined_symbols=("①",), normalization="nmt_nfkc")
        unchanged = train(sentences(50), algorithm="unigram", user_defined_symbols=("①",), normalization="identity")
        assert "①" in unchanged.pieces("a①b")

    @pytest.mark.parametrize(
        ("symbols", "message"),
        [
            (("a b",), "'a b' must be printable characters without white space"),
            (("",), "must be printable"),
            (("</s>",), "'</s>' is a piece that every model has already"),
            (("<0x0A>",), "every model has already"),
            (("x", "x"), "'x' is listed 2 times; list it once"),
        ],
    )
    def test_refused(self, symbols: tuple[str, ...], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            TokenizationConfig(user_defined_symbols=symbols)


class TestSampling:
    def test_pure_function(self, tokenizer: Tokenizer) -> None:
        texts = sentences(200, seed=2)
        first = tokenizer.sample(texts, amount=0.3, seed=7)
        other = tokenizer.sample(texts, amount=0.3, seed=8)
        sentencepiece.set_random_generator_seed(12345)
        assert first == tokenizer.sample(texts, amount=0.3, seed=7), "a second call, after another draw"
        again = Tokenizer(tokenizer.model_bytes)
        assert first == again.sample(tuple(texts), amount=0.3, seed=7, threads=1), "another object"
        assert first != other
        assert first != tokenizer.sample(texts, amount=0.2, seed=7)
        assert tokenizer.decode_batch(first) == tokenizer.decode_batch(other) == texts

    def test_same_in_another_process(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        texts = sentences(50, seed=3)
        (tmp_path / "model").write_bytes(tokenizer.model_bytes)
        (tmp_path / "texts").write_text(json.dumps(texts))
        code = (
            "import json, sys\n"
            "from pathlib import Path\n"
            "from textseq.tokenization import Tokenizer\n"
            "folder = Path(sys.argv[1])\n"
            "texts = json.loads((folder / 'texts').read_text())\n"
            "print(json.dumps(Tokenizer.load(folder / 'model').sample(texts, amount=0.2, seed=-5)))\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        environment = {**os.environ, "PYTHONHASHSEED": "99"}
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=True)
        assert json.loads(done.stdout) == tokenizer.sample(texts, amount=0.2, seed=-5)

    def test_same_from_threads_at_once(self, tokenizer: Tokenizer) -> None:
        texts = sentences(100, seed=4)
        expected = {seed: tokenizer.sample(texts, amount=0.3, seed=seed) for seed in range(8)}
        drawn: dict[int, list[list[int]]] = {}

        def draw(seed: int) -> None:
            drawn[seed] = tokenizer.sample(texts, amount=0.3, seed=seed)

        threads = [threading.Thread(target=draw, args=(seed,)) for seed in expected]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert drawn == expected

    def test_off_is_encode_and_more_is_wilder(self) -> None:
        bpe = train(sentences(400), 340)
        texts = sentences(300, seed=5)
        assert bpe.sample(texts, amount=0.0, seed=1) == bpe.encode(texts)
        sizes = [sum(map(len, bpe.sample(texts, amount=amount, seed=1))) for amount in (0.0, 0.1, 0.4, 1.0)]
        assert sizes == sorted(sizes) and len(set(sizes)) == 4
        assert sizes[-1] == sum(len(text) + 1 for text in texts), "each character by itself, and the space before"

    @pytest.mark.parametrize("amount", [0.05, 0.1, 0.3])
    def test_bpe_cuts_as_finely_as_bpe_dropout(self, amount: float) -> None:
        """SentencePiece's own BPE dropout as the oracle: the same number of pieces, on average."""
        bpe = train(sentences(400), 400)
        texts = sentences(3000, seed=6)
        own = np.mean([len(row) for seed in range(4) for row in bpe.sample(texts, amount=amount, seed=seed)])
        theirs = bpe._processor.encode(texts, enable_sampling=True, nbest_size=-1, alpha=amount)
        assert own == pytest.approx(np.mean([len(row) for row in theirs]), rel=0.06)

    @pytest.mark.parametrize("amount", [-0.1, 1.5, float("nan")])
    def test_amount_out_of_range(self, tokenizer: Tokenizer, amount: float) -> None:
        with pytest.raises(ConfigurationError, match=rf"sampling: received {amount}; expected 0 \(off\) to 1"):
            tokenizer.sample(["a"], amount=amount, seed=1)

    @pytest.mark.slow
    def test_fast_enough_to_redraw_each_epoch(self, corpora: Path) -> None:
        import time

        sides = [(corpora / f"multi30k/train.{code}").read_text("utf-8").splitlines() for code in ("en", "de")]
        trained = train(sides[0] + sides[1], 6400)
        begin = time.process_time()
        for side in sides:
            trained.sample(side, amount=0.1, seed=1)
        assert time.process_time() - begin < 3.0


class TestTextAndIds:
    @settings(deadline=None)
    @given(st.text())
    def test_round_trip_is_normalization(self, tokenizer: Tokenizer, text: str) -> None:
        """Nothing is lost beyond what the model's normalization does to the text."""
        ids = tokenizer.encode([text])[0]
        normal = tokenizer._processor.normalize(text)
        assert tokenizer.decode(ids) == normal.replace("▁", " ").removeprefix(" ")
        assert tokenizer.pieces(text) == [tokenizer.piece(piece_id) for piece_id in ids]
        assert tokenizer.unk_id not in ids

    @settings(deadline=None)
    @given(st.lists(st.text(), max_size=5))
    def test_a_batch_equals_its_texts_alone(self, tokenizer: Tokenizer, texts: list[str]) -> None:
        ids = tokenizer.encode(texts, threads=2)
        assert ids == [tokenizer.encode([text])[0] for text in texts] == tokenizer.encode(texts, threads=1)
        assert tokenizer.decode_batch(ids) == [tokenizer.decode(row) for row in ids]

    def test_empty(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.encode([]) == tokenizer.sample([], amount=0.5, seed=1) == []
        assert tokenizer.encode(["", " "]) == [[], []]
        assert tokenizer.decode([]) == "" and tokenizer.decode_batch([]) == []
        assert tokenizer.decode_batch([[], tokenizer.encode(["a"])[0], []]) == ["", "a", ""]

    def test_special_ids_are_dropped(self, tokenizer: Tokenizer) -> None:
        ids = tokenizer.encode(["the man"])[0]
        framed = [tokenizer.bos_id, *ids[:1], tokenizer.pad_id, *ids[1:], tokenizer.eos_id, tokenizer.pad_id]
        assert tokenizer.decode(framed) == tokenizer.decode(np.asarray(framed, np.int32)) == "the man"
        assert tokenizer.decode_batch(np.asarray([framed], np.int64)) == ["the man"]

    def test_bytes_that_form_no_character(self, tokenizer: Tokenizer) -> None:
        ids = tokenizer.encode(["日"])[0]
        assert [tokenizer.piece(piece_id) for piece_id in ids[-3:]] == ["<0xE6>", "<0x97>", "<0xA5>"]
        assert tokenizer.decode(ids) == "日"
        assert set(tokenizer.decode(ids[:-1]).strip()) == {"\ufffd"}

    def test_lone_surrogates_are_replaced(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.encode(["a\ud800b"]) == tokenizer.encode(["a\ufffdb"])
        assert tokenizer.pieces("a\udfffb") == tokenizer.pieces("a\ufffdb")
        assert tokenizer.sample(["a\ud800b"], amount=0.5, seed=1) == tokenizer.sample(["a\ufffdb"], amount=0.5, seed=1)

    @pytest.mark.parametrize("text", ["x" * 100_000, "日本 x" * 25_000, "\0" * 1000, "a\0b", " ." * 50_000])
    def test_long_lines_and_nul(self, tokenizer: Tokenizer, text: str) -> None:
        assert tokenizer.decode(tokenizer.encode([text])[0]) == text.strip(" ")
        assert tokenizer.decode(tokenizer.sample([text], amount=0.1, seed=1)[0]) == text.strip(" ")

    def test_one_text_is_not_a_batch(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(TypeError, match=r"received one text; write \['the man'\]"):
            tokenizer.encode("the man")

    @pytest.mark.parametrize("piece_id", [-1, 400, 10**6])
    def test_ids_outside(self, tokenizer: Tokenizer, piece_id: int) -> None:
        for call in (tokenizer.piece, lambda outside: tokenizer.decode([outside])):
            with pytest.raises(
                IndexError, match=f"piece id {piece_id} is outside the vocabulary of {len(tokenizer)} pieces"
            ):
                call(piece_id)


class TestModelFile:
    def test_equality_and_fingerprint(self, tokenizer: Tokenizer) -> None:
        same, other = Tokenizer(tokenizer.model_bytes), train(["another text"])
        assert tokenizer == same and hash(tokenizer) == hash(same) and tokenizer != other and tokenizer != 1
        assert tokenizer.fingerprint == hashlib.sha256(tokenizer.model_bytes).hexdigest()
        assert tokenizer.fingerprint[:12] in repr(tokenizer)
        assert pickle.loads(pickle.dumps(tokenizer)) == tokenizer

    def test_load(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        path = tmp_path / "joint.model"
        path.write_bytes(tokenizer.model_bytes)
        assert Tokenizer.load(path) == Tokenizer.load(str(path)) == tokenizer

    def test_bad_files(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        with pytest.raises(RunDirectoryError, match=r"joint\.model: expected a SentencePiece model, but no such file"):
            Tokenizer.load(tmp_path / "joint.model")
        with pytest.raises(RunDirectoryError, match="expected a SentencePiece model, but is a directory"):
            Tokenizer.load(tmp_path)
        path = tmp_path / "joint.model"
        for content in (b"", b"not a model", tokenizer.model_bytes[:1000]):
            path.write_bytes(content)
            with pytest.raises(RunDirectoryError, match=rf"joint\.model: {len(content):,} bytes are not a Sentence"):
                Tokenizer.load(path)

    def test_a_model_without_pad_is_refused(self) -> None:
        import io

        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences(20)), model_writer=model, vocab_size=50, hard_vocab_limit=False
        )
        with pytest.raises(InputError, match="the SentencePiece model has no pad piece; expected pad, unk, bos"):
            Tokenizer(model.getvalue())


class TestVocabularySize:
    @pytest.mark.parametrize(
        ("pairs", "least", "most"),
        [(5_000, 1_800, 2_400), (29_000, 6_000, 8_000), (133_000, 15_500, 16_500), (10**6, 32_000, 32_000)],
    )
    def test_known_corpora(self, pairs: int, least: int, most: int) -> None:
        assert least <= choose_vocabulary_size(pairs, 100) <= most

    @settings(deadline=None)
    @given(st.integers(0, 10**8), st.integers(0, 10**7), st.integers(0, 40_000), st.integers(0, 500))
    def test_monotone_with_room_for_characters(self, pairs: int, more: int, characters: int, symbols: int) -> None:
        size = choose_vocabulary_size(pairs, characters, symbols=symbols)
        assert size % 100 == 0
        assert size >= 260 + characters + symbols + 100
        assert size <= max(32_000, 260 + characters + symbols + 200)
        assert choose_vocabulary_size(pairs + more, characters, symbols=symbols) >= size

    @pytest.mark.parametrize("text", ["a", "abc " * 10, "日本語の文章です。" * 3])
    def test_what_is_chosen_can_be_trained(self, text: str) -> None:
        train([text], choose_vocabulary_size(1, len(set(text))))


def test_import_is_light() -> None:
    heavy = ("tensorflow", "keras", "numpy", "google.protobuf")
    code = f"import sys, textseq.tokenization; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
