"""The words of the reviews, read from the TOML files beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from textseq.composed_corpus import read_words

POSITIVE, NEGATIVE = "positive", "negative"
OPPOSITE = {POSITIVE: NEGATIVE, NEGATIVE: POSITIVE}


@dataclass(frozen=True, slots=True)
class Adjective:
    """An adjective; a strong one ("superb") takes neither "very" nor a plain "not"."""

    word: str
    strong: bool

    @property
    def takes_more(self) -> bool:
        """Whether its comparative is formed with "more"."""
        return len(self.word) > 7 or self.word in ("helpful", "patient", "modern", "useful", "useless", "modest")


@dataclass(frozen=True, slots=True)
class Aspect:
    """What an opinion is about: the soup, the chairs.

    Attributes:
        noun: with its article cut off.
        number: "" for one thing, "mass" (coffee) or "plural".
        adjectives: those that can be said of it, by polarity.
    """

    noun: str
    number: str
    adjectives: dict[str, tuple[Adjective, ...]]

    @property
    def plural(self) -> bool:
        """Whether verbs stand in the plural."""
        return self.number == "plural"


@dataclass(frozen=True, slots=True)
class Topic:
    """What a review is about; its first aspect is the thing itself."""

    name: str
    kind: str
    present: bool
    aspects: tuple[Aspect, ...]
    facts: tuple[str, ...]
    events: dict[str, tuple[str, ...]]
    intros: tuple[str, ...]
    untried: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """A way to say that something was good or bad; see wordings.toml."""

    name: str
    text: str
    degrees: tuple[str, ...]
    strengths: tuple[bool, ...]
    polarity: str
    turns: bool
    more: bool
    simile: str

    def adjective_polarity(self, meant: str) -> str | None:
        """The polarity of the adjective with which the clause means this, or None where it cannot."""
        if self.simile:
            return POSITIVE if self.simile == meant else None
        polarity = OPPOSITE[meant] if self.turns else meant
        return polarity if self.polarity in ("", polarity) else None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All words; `general` holds the adjectives that are said of everything, by polarity."""

    topics: tuple[Topic, ...]
    general: dict[str, tuple[Adjective, ...]]
    wordings: tuple[Wording, ...]
    verdicts: dict[str, tuple[str, ...]]
    similes: dict[str, dict[str, str]]
    exclamations: tuple[str, ...]
    qualities: tuple[str, ...]
    fillers: dict[str, tuple[str, ...]]


def read_data(name: str) -> dict[str, Any]:
    """One of the package's TOML files."""
    return read_words("classifiers.reviews", name)


@lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """Reads lexicon.toml, topics.toml and wordings.toml."""
    words, wordings = read_data("lexicon.toml"), read_data("wordings.toml")
    adjectives = {
        meaning: {polarity: tuple(map(_adjective, row[polarity])) for polarity in (POSITIVE, NEGATIVE)}
        for meaning, row in words["adjectives"].items()
    }
    general = adjectives.pop("general")
    for meaning, row in adjectives.items():
        if meaning not in words["not_general"]:
            adjectives[meaning] = {polarity: row[polarity] + general[polarity] for polarity in row}
    topics = read_data("topics.toml")
    return Lexicon(
        topics=tuple(_topic(name, row, words["kinds"][row["kind"]], adjectives) for name, row in topics.items()),
        general=general,
        wordings=tuple(wording for row in wordings["wording"] for wording in [_wording(row)] * row["weight"]),
        verdicts={polarity: tuple(wordings["verdicts"][polarity]) for polarity in (POSITIVE, NEGATIVE)},
        similes=words["similes"],
        exclamations=tuple(words["exclamations"]["words"]),
        qualities=tuple(words["exclamations"]["qualities"]),
        fillers={name: tuple(row) for name, row in words["fillers"].items()},
    )


def _adjective(word: str) -> Adjective:
    return Adjective(word.removesuffix("!"), word.endswith("!"))


def _topic(
    name: str, row: dict[str, Any], kind: dict[str, Any], adjectives: dict[str, dict[str, tuple[Adjective, ...]]]
) -> Topic:
    aspects = []
    for noun, description in row["aspects"].items():
        meaning, _, number = description.partition(" ")
        aspects.append(Aspect(noun, number, adjectives[meaning]))
    return Topic(
        name=name,
        kind=row["kind"],
        present=kind["tense"] == "present",
        aspects=tuple(aspects),
        facts=tuple(row["facts"]),
        events={POSITIVE: tuple(row["good"]), NEGATIVE: tuple(row["bad"])},
        intros=tuple(kind["intros"]),
        untried=tuple(kind["untried"]),
    )


def _wording(row: dict[str, Any]) -> Wording:
    strength, _, polarity = row.get("takes", "any").partition(" ")
    return Wording(
        name=row.get("name", ""),
        text=row["text"],
        degrees=tuple(row.get("degree", ())),
        strengths={"any": (False, True), "plain": (False,), "strong": (True,)}[strength],
        polarity=polarity,
        turns=row.get("turns", False),
        more=row.get("more", False),
        simile=row.get("simile", ""),
    )
