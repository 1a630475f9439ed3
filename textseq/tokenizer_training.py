"""Training SentencePiece models: from the text of a corpus to a Tokenizer."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import sentencepiece

from textseq.canonical_composition import canonical_composition_rule
from textseq.errors import ConfigurationError, InputError
from textseq.tokenization import (
    BYTE_PIECES,
    SCORE_STEPS,
    SPECIAL_PIECES,
    SYMBOL_SCORE,
    TokenizationConfig,
    Tokenizer,
    well_formed,
)

LARGEST_CHOSEN_VOCABULARY = 32_000

# One "word" of more than 65,535 characters kills SentencePiece's BPE trainer, so longer lines are cut for training.
LONGEST_TRAINING_LINE = 4096
# NUL, TAB and U+2585 are marks inside SentencePiece's trainer, which would skip every line that holds one of them.
TRAINER_MARKS = str.maketrans({"\0": " ", "\t": " ", "\u2585": " "})
# The sums of floating point in unigram training depend on the number of threads: it must not follow the machine.
TRAINING_THREADS = 4

_NOTHING_LEFT = re.compile(r"all_chars_count|sentences_\.empty|[Ii]nput sentence")
_TOO_SMALL = re.compile(r"required_chars\D*(\d+) vs (\d+)")


def train_tokenizer(lines: Iterable[str], config: TokenizationConfig, *, vocabulary_size: int, seed: int) -> Tokenizer:
    """Learns a vocabulary from text; pad, unk, bos and eos get the ids 0 to 3.

    The same lines, configuration, size and seed give the same bytes. At most `config.max_training_sentences` lines are
    kept in memory.

    Args:
        lines: the text, both sides of it for a joint vocabulary; lines of any length.
        config: algorithm, symbols, byte fallback and the like.
        vocabulary_size: at most so many pieces; a small corpus yields fewer.
        seed: decides which lines are read where the corpus has more than `max_training_sentences`.

    Raises:
        InputError: there is no text.
        ConfigurationError: the size has no room for bytes, symbols and characters.
    """
    kept = _sampled(_training_lines(lines), config.max_training_sentences, seed)
    if not kept:
        raise _no_text()
    _check_room(vocabulary_size, config)
    model = io.BytesIO()
    try:
        with _normalization(config.normalization) as normalization:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(kept),
                model_writer=model,
                model_type=config.algorithm,
                vocab_size=vocabulary_size,
                hard_vocab_limit=False,
                byte_fallback=config.byte_fallback,
                character_coverage=config.character_coverage,
                user_defined_symbols=list(config.user_defined_symbols),
                **normalization,
                max_sentence_length=1 << 20,
                num_threads=TRAINING_THREADS,
                pad_id=0,
                unk_id=1,
                bos_id=2,
                eos_id=3,
                pad_piece=SPECIAL_PIECES[0],
                unk_piece=SPECIAL_PIECES[1],
                bos_piece=SPECIAL_PIECES[2],
                eos_piece=SPECIAL_PIECES[3],
                minloglevel=2,
            )
    except RuntimeError as error:
        raise _training_error(error, vocabulary_size, config) from error
    tokenizer = Tokenizer(_finished(model.getvalue(), config))
    if config.algorithm == "unigram":
        _check_symbols_survive(tokenizer, config)
    return tokenizer


def choose_vocabulary_size(pairs: int, characters: int, *, symbols: int = 0) -> int:
    """The size of a joint vocabulary that suits a corpus: 13.5 * pairs^0.6, in hundreds, 32,000 at most.

    About 2,200 for 5,000 pairs, 6,400 for 29,000 and 16,000 for 133,000. It is never so small that bytes, characters
    and symbols do not fit with a hundred pieces to spare, and never falls when the corpus grows.

    Args:
        pairs: sentence pairs in the training text.
        characters: distinct characters in it.
        symbols: user-defined symbols.
    """
    for_size = min(LARGEST_CHOSEN_VOCABULARY, 100 * round(13.5 * max(pairs, 0) ** 0.6 / 100))
    needed = BYTE_PIECES + len(SPECIAL_PIECES) + characters + symbols + 100
    return max(for_size, 100 * -(-needed // 100))


def learn_vocabularies(
    texts: Mapping[str, Callable[[], Iterable[str]]],
    config: TokenizationConfig,
    seed: int,
    choices: dict[str, int],
    notify: Callable[[str], None],
    *,
    named: str,
    pairs: Callable[[int], int],
) -> dict[str, Tokenizer]:
    """Learns a tokenizer for each text; where the size of their vocabularies is open, it is chosen from the texts.

    Args:
        texts: by the name of the tokenizer; each call reads the lines again.
        config: how text is cut.
        seed: of the run.
        choices: receives "tokenization.vocabulary_size" where it is chosen.
        notify: told of the size.
        named: what is learnt, such as "two vocabularies".
        pairs: of the characters of all texts, the sentence pairs for `choose_vocabulary_size`.

    Raises:
        InputError: there is no text.
        ConfigurationError: the size has no room for bytes, symbols and characters.
    """
    size = config.vocabulary_size
    if size is None:
        lengths, alphabets = zip(*(_characters(lines()) for lines in texts.values()), strict=True)
        size = choose_vocabulary_size(pairs(sum(lengths)), max(alphabets), symbols=len(config.user_defined_symbols))
        choices["tokenization.vocabulary_size"] = size
    notify(f"learning {named} of {size:,} pieces")
    return {name: train_tokenizer(lines(), config, vocabulary_size=size, seed=seed) for name, lines in texts.items()}


def _characters(lines: Iterable[str]) -> tuple[int, int]:
    """How many characters a text has, and how many different ones."""
    total, distinct = 0, set[str]()
    for line in lines:
        total += len(line)
        distinct.update(line)
    return total, len(distinct)


@contextlib.contextmanager
def _normalization(name: str) -> Iterator[dict[str, Any]]:
    """The arguments that name a rule to SentencePiece, which reads one of ours from a file."""
    if name != "nfc":
        yield {"normalization_rule_name": name}
        return
    with tempfile.TemporaryDirectory() as folder:
        rule = Path(folder, "nfc.tsv")
        rule.write_text(canonical_composition_rule(), encoding="utf-8")
        yield {"normalization_rule_tsv": str(rule)}


def _training_lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        text = well_formed(line).translate(TRAINER_MARKS)
        for start in range(0, len(text), LONGEST_TRAINING_LINE):
            part = text[start : start + LONGEST_TRAINING_LINE].strip()
            if part:
                yield part


def _sampled(lines: Iterable[str], limit: int, seed: int) -> list[str]:
    """Keeps at most `limit` lines, each equally likely, in one pass (reservoir sampling, by hash for the seed)."""
    kept: list[str] = []
    for index, line in enumerate(lines):
        if index < limit:
            kept.append(line)
            continue
        digest = hashlib.blake2b(f"{seed} {index}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") % (index + 1)
        if place < limit:
            kept[place] = line
    return kept


def _fixed_pieces(config: TokenizationConfig) -> tuple[int, str]:
    """How many pieces every vocabulary of this configuration holds, and what they are in words."""
    bytes_used = BYTE_PIECES if config.byte_fallback else 0
    symbols = len(config.user_defined_symbols)
    parts = [f"{len(SPECIAL_PIECES)} special pieces"]
    parts += [f"{bytes_used} bytes"] if bytes_used else []
    parts += [f"{symbols} user-defined symbols"] if symbols else []
    return len(SPECIAL_PIECES) + bytes_used + symbols, ", ".join(parts)


def _too_small(vocabulary_size: int, needed: int, parts: str) -> ConfigurationError:
    return ConfigurationError(
        f"vocabulary_size: received {vocabulary_size}; expected {needed} or more ({parts}); "
        f"raise it, or leave it out to have it chosen"
    )


def _check_room(vocabulary_size: int, config: TokenizationConfig) -> None:
    fixed, parts = _fixed_pieces(config)
    if vocabulary_size <= fixed:
        raise _too_small(vocabulary_size, fixed + 1, f"{parts}, and the characters of the text")


def _no_text() -> InputError:
    return InputError("no text to learn a vocabulary from: every line is empty; expected one line or more with text")


def _training_error(error: RuntimeError, vocabulary_size: int, config: TokenizationConfig) -> InputError:
    if _NOTHING_LEFT.search(str(error)):
        return _no_text()  # Nothing but characters that normalization removes.
    too_small = _TOO_SMALL.search(str(error))
    if too_small:
        needed = int(too_small[2])
        fixed, parts = _fixed_pieces(config)
        return _too_small(vocabulary_size, needed, f"{parts}, {needed - fixed} characters")
    reason = " ".join(str(error).split())
    return InputError(f"no vocabulary could be learnt from this text: {reason}")


def _finished(model_bytes: bytes, config: TokenizationConfig) -> bytes:
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(model_bytes)
    # The rule itself is in the model; the name of the file that it was read from is another one each time.
    model.normalizer_spec.name = config.normalization
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    if config.algorithm == "unigram":
        _make_scores_exact(model)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def _make_scores_exact(model: Any) -> None:
    """Rounds a unigram model's scores to multiples of 1/32, so that every build of SentencePiece agrees.

    Segmentations that differ only in the order of their pieces tie, and then the rounding of the sums decides, which
    differs between builds. Sums of such multiples are exact in float32 up to 2^19 (some 40,000 pieces or 500 symbols
    in a line), so ties are ties everywhere, and all builds break them alike: the longest last piece wins.
    SentencePiece gives a user-defined symbol a score that is no such multiple, and sampling may split it; so it
    becomes a normal piece that nothing can outbid.
    """
    for piece in model.pieces:
        if piece.type == piece.USER_DEFINED:
            piece.type = piece.NORMAL
            piece.score = SYMBOL_SCORE
        else:
            piece.score = round(piece.score * SCORE_STEPS) / SCORE_STEPS


def _check_symbols_survive(tokenizer: Tokenizer, config: TokenizationConfig) -> None:
    for symbol in config.user_defined_symbols:
        if symbol not in tokenizer.pieces(f"a{symbol}b"):
            raise ConfigurationError(
                f"user_defined_symbols: {symbol!r} is rewritten by normalization {config.normalization!r}; expected a "
                "symbol that it leaves alone: choose another, or algorithm 'bpe', or normalization 'identity'"
            )
