"""Mistakes of translations by kind: missing, added and wrong words, wrong forms, wrong order.

After Popović and Ney 2011, "Towards Automatic Error Analysis of Machine Translation Output" (Computational Linguistics
37(4), 657-688), section 3: the edit distance between translation and reference says which words differ in place (word
error rate), the words that one side has and the other lacks anywhere say which differ at all (position-independent
error rate), and both together name the mistake. One thing is done differently: here each word has one part in one
mistake, so that the numbers add up. See `find_mistakes` for the definition.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast, get_args

from textseq.errors import InputError
from textseq.scores import Tokenize

Kind = Literal["missing", "added", "wrong word", "wrong form", "word order"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of the table."""

BaseForm = Callable[[str], str]
_FREQUENT = 5


class Mistake(NamedTuple):
    """One mistake of one sentence.

    Attributes:
        kind: what is wrong.
        reference: the word as it should be; None where a word was added.
        hypothesis: the word of the translation; None where a word is missing.
        reference_index: place of the word among the reference's words.
        hypothesis_index: place of the word among the translation's words.
    """

    kind: Kind
    reference: str | None
    hypothesis: str | None
    reference_index: int | None
    hypothesis_index: int | None

    def __str__(self) -> str:
        """Such as "wrong form: kleine -> kleinen", translation first."""
        if self.kind == "word order" or self.hypothesis is None:
            return f"{self.kind}: {self.reference}"
        if self.reference is None:
            return f"{self.kind}: {self.hypothesis}"
        return f"{self.kind}: {self.hypothesis} -> {self.reference}"


@dataclass(frozen=True)
class SentenceMistakes:
    """The mistakes of one sentence.

    Attributes:
        line: number of the sentence, counted from 1.
        source: what was translated, where it is known.
        hypothesis: the words of the translation.
        reference: the words of the reference.
        mistakes: by their place in the reference; of added words, by their place in the translation, last.
    """

    line: int
    source: str | None
    hypothesis: tuple[str, ...]
    reference: tuple[str, ...]
    mistakes: tuple[Mistake, ...]

    def __str__(self) -> str:
        """Source, translation and reference, and what is wrong."""
        parts = [("source", self.source), ("translation", " ".join(self.hypothesis))]
        parts += [("reference", " ".join(self.reference)), ("mistakes", "; ".join(map(str, self.mistakes)) or "none")]
        return "\n".join(f"{name:12} {text}" for name, text in parts if text is not None)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return {**asdict(self), "mistakes": [mistake._asdict() for mistake in self.mistakes]}


@dataclass(frozen=True)
class MistakeReport:
    """The mistakes of many sentences.

    Attributes:
        sentences: each sentence, those without a mistake too.
    """

    sentences: tuple[SentenceMistakes, ...]

    COLUMNS: ClassVar[tuple[str, ...]] = ("mistake", "count", "share", "per 100 reference words", "most frequent")

    @property
    def counts(self) -> dict[Kind, int]:
        """How many mistakes there are of each kind."""
        found = Counter(mistake.kind for mistake in self._mistakes)
        return {kind: found[kind] for kind in KINDS}

    @property
    def total(self) -> int:
        """How many mistakes there are."""
        return sum(self.counts.values())

    @property
    def shares(self) -> dict[Kind, float]:
        """Which share of all mistakes each kind has; 0 where there are none."""
        return {kind: count / max(1, self.total) for kind, count in self.counts.items()}

    @property
    def reference_words(self) -> int:
        """Words of the references."""
        return sum(len(sentence.reference) for sentence in self.sentences)

    @property
    def hypothesis_words(self) -> int:
        """Words of the translations."""
        return sum(len(sentence.hypothesis) for sentence in self.sentences)

    @property
    def correct_words(self) -> int:
        """Words of the references that the translations have, in their place."""
        return self.reference_words - self.total + self.counts["added"]

    @property
    def faultless(self) -> int:
        """Sentences without a mistake: their words are the reference's."""
        return sum(not sentence.mistakes for sentence in self.sentences)

    def examples(self, kind: Kind, count: int = 3) -> list[SentenceMistakes]:
        """The first sentences with such a mistake, those with the fewest mistakes first.

        Args:
            kind: of the mistake.
            count: how many at most.

        Raises:
            InputError: an unknown kind.
        """
        _require_kind(kind)
        having = [one for one in self.sentences if any(mistake.kind == kind for mistake in one.mistakes)]
        return sorted(having, key=lambda one: len(one.mistakes))[:count]

    def frequent(self, kind: Kind, count: int = _FREQUENT) -> list[tuple[str, int]]:
        """The most frequent mistakes of a kind, such as ("kleine -> kleinen", 7): translation, reference, how often.

        Args:
            kind: of the mistake.
            count: how many at most.

        Raises:
            InputError: an unknown kind.
        """
        _require_kind(kind)
        found = Counter(str(mistake).partition(": ")[2] for mistake in self._mistakes if mistake.kind == kind)
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:count]

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """The rows of a table, under `COLUMNS`."""
        shares, words = self.shares, max(1, self.reference_words)
        return [
            (
                kind,
                f"{count:,}",
                f"{shares[kind]:.0%}",
                f"{100 * count / words:.1f}",
                ", ".join(f"{text} ({times})" for text, times in self.frequent(kind, 3)),
            )
            for kind, count in self.counts.items()
        ]

    def __str__(self) -> str:
        """The table as text."""
        head = (
            f"{len(self.sentences):,} sentences, {self.faultless:,} without a mistake; "
            f"{self.correct_words:,} of {self.reference_words:,} reference words are right and in their place"
        )
        rows = [self.COLUMNS, *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.COLUMNS) - 1)]
        lines = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
        ]
        return "\n".join([head, *(line.rstrip() for line in lines)])

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON; of the sentences, three examples of each kind."""
        shares = self.shares
        return {
            "sentences": len(self.sentences),
            "faultless": self.faultless,
            "reference_words": self.reference_words,
            "hypothesis_words": self.hypothesis_words,
            "correct_words": self.correct_words,
            "mistakes": {
                kind: {
                    "count": count,
                    "share": shares[kind],
                    "frequent": [list(item) for item in self.frequent(kind)],
                    "examples": [one.to_dict() for one in self.examples(kind)],
                }
                for kind, count in self.counts.items()
            },
        }

    @property
    def _mistakes(self) -> Iterator[Mistake]:
        return (mistake for sentence in self.sentences for mistake in sentence.mistakes)


def find_mistakes(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    sources: Sequence[str] | None = None,
    lowercase: bool = False,
    tokenize: str = "13a",
    base_form: BaseForm | None = None,
) -> MistakeReport:
    """Names the mistakes of translations by comparing them with references.

    In each sentence, words (and punctuation, which counts as words) are compared as follows.

    1. The words are aligned with the fewest insertions, deletions and substitutions (the edit distance of the word
       error rate), and among such alignments with the most equal words. Equal aligned words are right.
    2. Of the words left over, those that both sides have are in the wrong place: `word order`.
    3. Of the words left over, those that have the same base form are a `wrong form`: words that the alignment
       substitutes for each other first, then others, in the order of the reference.
    4. Of the words left over, those that the alignment substitutes for each other are a `wrong word`.
    5. What is left of the reference is `missing`, what is left of the translation was `added`.

    So reference words = right + word order + wrong form + wrong word + missing, and the translation's words likewise
    with added. A translation that says the same in other words has mistakes here too: what is counted is the distance
    from one reference, and the kinds are guesses from the words' shapes.

    Args:
        hypotheses: the translations.
        references: as many references.
        sources: what was translated, for the examples.
        lowercase: compare without regard to case. Forms are always compared so.
        tokenize: sacreBLEU's tokenizer, which cuts the words; "none" for text that is cut at spaces already.
        base_form: gives the base form of a word, as a lemmatizer or a stemmer does. None takes two words for forms of
            one where they differ in their endings only: without regard to case and accents, they begin with the same
            letters, and these are more than half of the longer word. It takes "kleine" and "kleinen", "Haus" and
            "Häuser", "der" and "den" for one, also "man" and "mal" (wrongly), and misses "ist" and "sind".

    Raises:
        InputError: the numbers differ, one text in place of a list, or an unknown tokenizer.

    Example:
        >>> report = find_mistakes(["Das kleinen Haus ist ."], ["Das kleine Haus ist dort ."], tokenize="none")
        >>> [str(mistake) for mistake in report.sentences[0].mistakes]
        ['wrong form: kleinen -> kleine', 'missing: dort']
    """
    for name, texts in (("hypotheses", hypotheses), ("references", references), ("sources", sources)):
        if isinstance(texts, str):
            raise InputError(f"{name}: received one text; expected a list of texts")
    if len(hypotheses) != len(references) or (sources is not None and len(sources) != len(hypotheses)):
        received = f"{len(hypotheses)} hypotheses and {len(references)} references"
        received += "" if sources is None else f" and {len(sources)} sources"
        raise InputError(f"mistakes: received {received}; expected as many of each")
    cut = _word_cutter(tokenize)
    texts_of = sources if sources is not None else [None] * len(hypotheses)
    sentences = []
    for line, (source, *sides) in enumerate(zip(texts_of, hypotheses, references, strict=True), start=1):
        hypothesis, reference = (cut(side.lower() if lowercase else side) for side in sides)
        mistakes = tuple(_compare(hypothesis, reference, base_form))
        sentences.append(SentenceMistakes(line, source, hypothesis, reference, mistakes))
    return MistakeReport(tuple(sentences))


def _word_cutter(tokenize: str) -> Callable[[str], tuple[str, ...]]:
    from sacrebleu.metrics import BLEU

    from textseq.scores import translation_scores

    translation_scores(["a"], ["a"], tokenize=cast(Tokenize, tokenize), metrics=("bleu",), resamples=0)  # refuses it
    tokenizer = BLEU(tokenize=tokenize, force=True).tokenizer
    return lambda text: tuple(tokenizer(text.rstrip()).split())


def _compare(hypothesis: Sequence[str], reference: Sequence[str], base_form: BaseForm | None) -> Iterator[Mistake]:
    aligned = align_words(hypothesis, reference)
    substituted = {row: column for row, column in aligned if reference[row] != hypothesis[column]}
    right = {row: column for row, column in aligned if row not in substituted}
    left_rows = [row for row in range(len(reference)) if row not in right]
    right_columns = set(right.values())
    left_columns = [column for column in range(len(hypothesis)) if column not in right_columns]
    alike = (lambda one, other: base_form(one) == base_form(other)) if base_form else differ_in_ending
    rules: tuple[tuple[Kind, Callable[[int, int], bool]], ...] = (
        ("word order", lambda row, column: reference[row] == hypothesis[column]),
        (
            "wrong form",
            lambda row, column: substituted.get(row) == column and alike(reference[row], hypothesis[column]),
        ),
        ("wrong form", lambda row, column: alike(reference[row], hypothesis[column])),
        ("wrong word", lambda row, column: substituted.get(row) == column),
    )
    found: list[Mistake] = []
    for kind, belongs in rules:
        for row in tuple(left_rows):
            column = next((column for column in left_columns if belongs(row, column)), None)
            if column is not None:
                found.append(Mistake(kind, reference[row], hypothesis[column], row, column))
                left_rows.remove(row)
                left_columns.remove(column)
    found += [Mistake("missing", reference[row], None, row, None) for row in left_rows]
    yield from sorted(found, key=lambda mistake: cast(int, mistake.reference_index))
    yield from (Mistake("added", None, hypothesis[column], None, column) for column in left_columns)


def align_words(hypothesis: Sequence[str], reference: Sequence[str]) -> list[tuple[int, int]]:
    """The words that an alignment with the fewest edits puts together: (reference index, hypothesis index).

    Insertions, deletions and substitutions cost one each. Of alignments with as few edits, one with the most equal
    words is taken, and of these the one that, read from the end, first puts words together, then inserts.

    Args:
        hypothesis: words.
        reference: words.

    Returns:
        Pairs of equal or substituted words, in order; the words in no pair are deleted or inserted.

    Example:
        >>> align_words(["the", "cat", "slept"], ["the", "old", "cat", "sleeps"])
        [(0, 0), (2, 1), (3, 2)]
    """
    # costs[row][column]: (edits, -equal words) of the first words of both sides.
    costs = [[(column, 0) for column in range(len(hypothesis) + 1)]]
    for row, word in enumerate(reference, start=1):
        costs.append([(row, 0)])
        for column, other in enumerate(hypothesis, start=1):
            costs[row].append(min(_moves(costs, row, column, word == other))[0])
    pairs: list[tuple[int, int]] = []
    row, column = len(reference), len(hypothesis)
    while row and column:
        _, place = min(_moves(costs, row, column, reference[row - 1] == hypothesis[column - 1]))
        if place == 0:
            pairs.append((row - 1, column - 1))
        row, column = row - (place != 1), column - (place != 2)
    return pairs[::-1]


def _moves(
    costs: list[list[tuple[int, int]]], row: int, column: int, equal: bool
) -> Iterator[tuple[tuple[int, int], int]]:
    """What it costs to end with a pair (0), with an insertion (1) and with a deletion (2)."""
    edits, equals = costs[row - 1][column - 1]
    yield (edits + (not equal), equals - equal), 0
    edits, equals = costs[row][column - 1]
    yield (edits + 1, equals), 1
    edits, equals = costs[row - 1][column]
    yield (edits + 1, equals), 2


def differ_in_ending(one: str, other: str) -> bool:
    """Whether two words begin with the same letters, more than half of the longer word; case and accents aside.

    Example:
        >>> differ_in_ending("Haus", "Häuser"), differ_in_ending("Hund", "Hand"), differ_in_ending("2019", "2018")
        (True, False, False)
    """
    one, other = _folded(one), _folded(other)
    if not (one.isalpha() and other.isalpha()):
        return False
    shared = next((place for place, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1), None)
    shared = min(len(one), len(other)) if shared is None else shared
    return 2 * shared > max(len(one), len(other))


@functools.lru_cache(maxsize=65536)
def _folded(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _require_kind(kind: str) -> None:
    if kind not in KINDS:
        raise InputError(f"mistakes: received the kind {kind!r}; expected one of {', '.join(map(repr, KINDS))}")
