"""Subword tokenization: SentencePiece models, trained from the corpus, that turn text into ids and back.

The same model runs eagerly here and inside a TensorFlow graph in `textseq.graph_tokenization`, with equal results.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import sentencepiece
from pydantic import Field, field_validator

from textseq.configuration import Configuration
from textseq.errors import ConfigurationError, InputError, RunDirectoryError

SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")
BYTE_PIECES = 256

# Unigram scores are multiples of 1/32, and a symbol is out of every other piece's reach: see
# `textseq.tokenizer_training._make_scores_exact`.
SCORE_STEPS = 32
SYMBOL_SCORE = 1024.0
# Texts of one call to `sample` share so many draws at most; each costs the loading of a model, some milliseconds.
DRAWS = 64

_SYMBOL_CLASH = re.compile(r"<(pad|unk|s|/s|0x[0-9A-F]{2})>")

sentencepiece.set_min_log_level(2)  # Its C++ side would write to stderr; what matters arrives as an exception.


class TokenizationConfig(Configuration):
    """How text is cut into pieces."""

    algorithm: Literal["bpe", "unigram"] = Field("bpe", description="How pieces are found: bpe or unigram.")
    vocabulary_size: int | None = Field(
        None, gt=0, description="Pieces in a vocabulary, an upper bound; chosen from the corpus where it is not given."
    )
    byte_fallback: bool = Field(
        True, description="Spell characters outside the vocabulary as UTF-8 bytes, so that nothing is ever unknown."
    )
    sampling: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description=(
            "Subword sampling, drawn anew each epoch: the probability that a piece of two characters or more may not "
            "be used, so that text is cut finer; 0: off, 0.1 is usual."
        ),
    )
    user_defined_symbols: tuple[str, ...] = Field(
        (), description="Strings that always stay whole, such as tags and placeholders."
    )
    character_coverage: float = Field(
        0.9998, ge=0.9, le=1.0, description="Share of the text's characters that must be pieces of their own."
    )
    normalization: Literal["nfc", "nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"] = Field(
        "nfc",
        description="Rule for Unicode forms: nfc joins letters and their marks; the others are SentencePiece's: nfkc "
        "also rewrites full-width characters, ligatures and the like, _cf folds case, identity changes nothing.",
    )
    max_training_sentences: int = Field(
        1_000_000, gt=0, description="Lines that pieces are learnt from; of a larger corpus, a random sample."
    )

    @field_validator("user_defined_symbols")
    @classmethod
    def _check_symbols(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in symbols:
            if not symbol or not symbol.isprintable() or any(character.isspace() for character in symbol):
                raise ValueError(f"{symbol!r} must be printable characters without white space")
            if _SYMBOL_CLASH.fullmatch(symbol):
                raise ValueError(f"{symbol!r} is a piece that every model has already; choose another name")
            if symbols.count(symbol) > 1:
                raise ValueError(f"{symbol!r} is listed {symbols.count(symbol)} times; list it once")
        return symbols


class Tokenizer:
    """A trained SentencePiece model: text to ids, ids to text.

    Two tokenizers are equal when their models are the same bytes. Calls are safe from several threads.

    Args:
        model_bytes: a serialised SentencePiece model that has pad, unk, bos and eos pieces.

    Raises:
        InputError: the bytes are no SentencePiece model, or a special piece is missing.

    Example:
        >>> from textseq.tokenizer_training import train_tokenizer
        >>> config = TokenizationConfig()
        >>> tokenizer = train_tokenizer(["a man sleeps", "a man reads"], config, vocabulary_size=300, seed=1)
        >>> tokenizer.decode(tokenizer.encode(["a man"])[0])
        'a man'
    """

    def __init__(self, model_bytes: bytes) -> None:
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model_bytes)
            self.vocabulary_size: int = self._processor.get_piece_size()
        except Exception as error:  # The C++ binding has no error class of its own.
            raise InputError(
                f"{len(model_bytes):,} bytes are not a SentencePiece model; expected one, whole, as `train` writes it"
            ) from error
        self.model_bytes = bytes(model_bytes)
        self.pad_id: int = self._processor.pad_id()
        self.unk_id: int = self._processor.unk_id()
        self.bos_id: int = self._processor.bos_id()
        self.eos_id: int = self._processor.eos_id()
        for name, special_id in (("pad", self.pad_id), ("bos", self.bos_id), ("eos", self.eos_id)):
            if special_id < 0:
                raise InputError(
                    f"the SentencePiece model has no {name} piece; expected pad, unk, bos and eos: "
                    f"train it with {name}_id set"
                )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Reads a model file.

        Raises:
            RunDirectoryError: the file is missing, cannot be read, or is no SentencePiece model.
        """
        try:
            return cls(Path(path).read_bytes())
        except OSError as error:
            raise RunDirectoryError(
                f"{os.fspath(path)}: expected a SentencePiece model, but {(error.strerror or str(error)).lower()}"
            ) from error
        except InputError as error:
            raise RunDirectoryError(f"{os.fspath(path)}: {error}") from error

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the model's bytes, 64 hexadecimal digits."""
        return hashlib.sha256(self.model_bytes).hexdigest()

    def encode(self, texts: Sequence[str], *, threads: int = -1) -> list[list[int]]:
        """Cuts texts into ids, without bos and eos.

        Args:
            texts: any text, the empty one included; a lone surrogate is read as U+FFFD.
            threads: how many to use; -1 means every core. The result does not depend on it.

        Returns:
            One list of ids a text; it is empty where the text is empty or only white space.
        """
        encoded: list[list[int]] = self._processor.encode(_batch(texts), num_threads=threads)
        return encoded

    def sample(self, texts: Sequence[str], *, amount: float, seed: int, threads: int = -1) -> list[list[int]]:
        """Cuts texts into ids in a way drawn at random, without bos and eos.

        A draw leaves out each piece of two characters or more with probability `amount`, and cuts text with the rest:
        for a merge this is BPE dropout (Provilkov, Emelianenko, Voita 2020, arXiv:1910.13267), except that texts which
        fall to the same one of at most 64 draws lose the same merges. Symbols stay whole.

        The result is a function of texts, amount and seed alone, the same in every call, process and machine.
        SentencePiece's own sampling is not: it salts its generator anew in each process, whatever the seed.

        Args:
            texts: any text.
            amount: 0 (`encode`) to 1 (single characters); 0.1 is usual.
            seed: any integer; derive it from the run's seed, the epoch and the side.
            threads: how many to use; -1 means every core. The result does not depend on it.

        Raises:
            ConfigurationError: the amount is outside 0 to 1.
        """
        if not 0.0 <= amount <= 1.0:
            raise ConfigurationError(f"sampling: received {amount}; expected 0 (off) to 1; 0.1 is usual")
        batch = _batch(texts)
        if amount == 0.0 or not batch:
            return self.encode(batch, threads=threads)
        import numpy as np
        from sentencepiece import sentencepiece_model_pb2

        # Philox's raw bits are the same in every NumPy; what its Generator makes of them is not.
        source = np.random.Philox(key=_philox_key(seed))
        draws = min(DRAWS, len(batch))
        draw_of_text = source.random_raw(len(batch)) % np.uint64(draws)
        model = sentencepiece_model_pb2.ModelProto.FromString(self.model_bytes)
        droppable = [piece for piece in model.pieces if _is_droppable(piece)]
        sampled: list[list[int]] = [[] for _ in batch]
        for draw in range(draws):
            uniform = (source.random_raw(len(droppable)) >> np.uint64(11)) * 2.0**-53
            members = np.flatnonzero(draw_of_text == draw).tolist()
            if not members:
                continue
            dropped = [droppable[place] for place in np.flatnonzero(uniform < amount)]
            for piece in dropped:
                piece.type = piece.CONTROL  # keeps its id, but no text is ever cut into it
            processor = sentencepiece.SentencePieceProcessor()
            processor.LoadFromSerializedProto(model.SerializeToString())
            for piece in dropped:
                piece.type = piece.NORMAL
            encoded = processor.encode([batch[member] for member in members], num_threads=threads)
            for member, ids in zip(members, encoded, strict=True):
                sampled[member] = ids
        return sampled

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text, in the order of its ids; "▁" stands for a space."""
        pieces: list[str] = self._processor.encode(well_formed(text), out_type=str)
        return pieces

    def piece(self, piece_id: int) -> str:
        """The piece with this id.

        Raises:
            IndexError: the id is outside the vocabulary.
        """
        piece: str = self._processor.id_to_piece(self._checked(int(piece_id)))
        return piece

    def vocabulary(self) -> list[str]:
        """All pieces of the vocabulary, by their ids."""
        return [self.piece(piece_id) for piece_id in range(self.vocabulary_size)]

    def decode(self, ids: Iterable[int]) -> str:
        """Joins ids to text; pad, bos and eos are dropped, bytes that form no character become U+FFFD.

        Raises:
            IndexError: an id is outside the vocabulary.
        """
        text: str = self._processor.decode(self._ordinary(ids))
        return text

    def decode_batch(self, sequences: Iterable[Iterable[int]], *, threads: int = -1) -> list[str]:
        """Joins each sequence of ids to text, as `decode` does.

        Raises:
            IndexError: an id is outside the vocabulary.
        """
        ordinary = [self._ordinary(ids) for ids in sequences]
        if not ordinary:
            return []
        texts: list[str] = self._processor.decode(ordinary, num_threads=threads)
        return texts

    def _ordinary(self, ids: Iterable[int]) -> list[int]:
        dropped = (self.pad_id, self.bos_id, self.eos_id)
        return [self._checked(piece_id) for piece_id in map(int, ids) if piece_id not in dropped]

    def _checked(self, piece_id: int) -> int:
        if not 0 <= piece_id < self.vocabulary_size:
            raise IndexError(f"piece id {piece_id} is outside the vocabulary of {self.vocabulary_size} pieces")
        return piece_id

    def __len__(self) -> int:
        return self.vocabulary_size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.model_bytes == other.model_bytes

    def __hash__(self) -> int:
        return hash(self.model_bytes)

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[bytes]]:
        return Tokenizer, (self.model_bytes,)

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocabulary_size} pieces, sha256 {self.fingerprint[:12]})"


def well_formed(text: str) -> str:
    """Puts U+FFFD for lone surrogates, which have no UTF-8 form."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


def _batch(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError(f"expected a sequence of texts, received one text; write [{texts[:20]!r}]")
    return [text if text.isascii() else well_formed(text) for text in texts]


def _philox_key(seed: int) -> int:
    digest = hashlib.blake2b(f"subword sampling {seed}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big")


def _is_droppable(piece: Any) -> bool:
    """Whether sampling may leave the piece out: not a character, a byte, a special piece or a symbol."""
    return piece.type == piece.NORMAL and len(piece.piece) > 1 and piece.score < SYMBOL_SCORE
