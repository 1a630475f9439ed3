"""The words, read once from the data files beside this module."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nmt.phrasebook.clause import Verb
from nmt.phrasebook.english import EnglishVerb, add_s, comparative
from nmt.phrasebook.german import GermanNoun, GermanVerb
from nmt.phrasebook.phrases import Adjective, Noun, Phrase, Place
from textseq.composed_corpus import read_words

GENDERS = {"der": "m", "die": "f", "das": "n"}
# Drawn by rule rather than from a list: a personal name, a pronoun.
DRAWN = ("name", "pronoun")
HUMAN = ("family", "acquaintance", "people")
ACTION_TENSES = ("progressive", "habit", "past", "future", "modal", "like to")
TENSES_OF_KIND = {"action": ACTION_TENSES, "state": ("present", "past"), "event": ("progressive", "past", "future")}


@dataclass(frozen=True, eq=False, slots=True)
class VerbEntry:
    """A verb and the words that make sense beside it."""

    verb: Verb
    group: str
    subjects: tuple[Noun | str, ...]
    objects: tuple[Noun | str, ...]
    recipients: tuple[Noun | str, ...]
    directions: tuple[Place, ...]
    places: tuple[Place, ...]
    manners: tuple[Phrase, ...]
    determiner: str
    tenses: tuple[str, ...]
    clock: bool
    company: bool
    place_needed: bool
    surface: str


@dataclass(frozen=True, eq=False, slots=True)
class Lexicon:
    """All words; nouns and places also by the name of their class."""

    nouns: dict[str, tuple[Noun | str, ...]]
    places: dict[str, tuple[Place, ...]]
    verbs: dict[str, tuple[VerbEntry, ...]]
    adjectives: dict[str, Adjective]
    describing: dict[str, list[str]]
    predicates: dict[str, list[str]]
    comparing: dict[str, list[str]]
    times: dict[str, tuple[Phrase, ...]]
    numbers: dict[str, str]
    names: tuple[tuple[str, str], ...]
    surfaces: tuple[tuple[Phrase, Phrase], ...]


def read_data(name: str) -> dict[str, Any]:
    """One of the package's TOML files."""
    return read_words("nmt.phrasebook", name)


@lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """Reads lexicon.toml and verbs.toml."""
    data = read_data("lexicon.toml")
    nouns = _nouns(data)
    places = _places(data["places"])
    manners = {key: Phrase(key, german) for key, german in data["manners"].items()}
    times = {name: tuple(Phrase(*row) for row in table.items()) for name, table in data["times"].items()}
    times["clock"] = tuple(_clock(data["numbers"]))
    return Lexicon(
        nouns=nouns,
        places=places,
        verbs=_verbs(nouns, places, manners),
        adjectives={key: _adjective(key, row, data["english_comparatives"]) for key, row in data["adjectives"].items()},
        describing=data["describing"],
        predicates=data["predicates"],
        comparing=data["comparing"],
        times=times,
        numbers=data["numbers"],
        names=tuple((name, gender[0]) for gender in ("female", "male") for name in data["names"][gender]),
        surfaces=tuple(_surface(english, row) for english, row in data["surfaces"].items()),
    )


def _german_noun(row: str) -> GermanNoun:
    singular, _, plural = row.partition(", ")
    article, _, word = singular.rpartition(" ")
    plural, _, weak = plural.partition(" ")
    return GermanNoun(word, plural, GENDERS.get(article, ""), weak == "weak")


def _nouns(data: dict[str, Any]) -> dict[str, tuple[Noun | str, ...]]:
    found: dict[str, tuple[Noun | str, ...]] = {name: (name,) for name in DRAWN}
    for meaning, table in data["nouns"].items():
        members = []
        for lemma, row in table.items():
            german, _, irregular = row.partition("; ")
            members.append(Noun(lemma, irregular or add_s(lemma), _german_noun(german), meaning))
        found |= {noun.lemma: (noun,) for noun in members}
        found[meaning] = found.get(meaning, ()) if meaning in table else ()
        found[meaning] += tuple(noun for noun in members if noun.lemma != meaning)
    for posture, lemmas in data["postures"].items():
        found[posture] = tuple(found[lemma][0] for lemma in lemmas)
    found["human"] = ("human",)
    found["child_like"] = (*found["child"], *found["boy"], *found["girl"], "name")
    found["weather_it"] = ("weather_it",)
    return found


def _places(data: dict[str, Any]) -> dict[str, tuple[Place, ...]]:
    found: dict[str, tuple[Place, ...]] = {}
    for meaning, table in data.items():
        members = []
        for lemma, row in table.items():
            head, _, prepositions = row.partition(": ")
            if not prepositions:
                at, to = row.split(", ")
                members.append(Place(lemma, None, False, ("", "", "", ""), (at, to)))
                continue
            plural = head.endswith(" plural")
            noun = _german_noun(head.removesuffix(" plural"))
            if plural:
                noun = GermanNoun(noun.singular, noun.singular, "p")
            english_at, german_at, english_to, german_to = prepositions.split(", ")
            members.append(Place(lemma, noun, plural, (english_at, german_at, english_to, german_to)))
        found |= {place.lemma: (place,) for place in members}
        found[meaning] = tuple(members)
    return found


def _adjective(lemma: str, row: str, irregular: dict[str, str]) -> Adjective:
    positive, *others = row.split(", ")
    german_comparative = others[0] if others else positive + "er"
    stem = others[1] if len(others) > 1 else positive.removesuffix("e")
    if positive.endswith("e") and not others:
        german_comparative = positive + "r"
    return Adjective(lemma, positive, stem, comparative(lemma, irregular), german_comparative)


def _surface(english: str, row: str) -> tuple[Phrase, Phrase]:
    """A surface at rest (dative) and in motion (accusative)."""
    from nmt.phrasebook.german import after_preposition, noun_phrase

    preposition, _, head = row.partition(" ")
    noun = _german_noun(head)
    texts = (
        after_preposition(preposition, noun_phrase(noun, case, plural=False, determiner="the"))
        for case in ("dative", "accusative")
    )
    at, to = (Phrase(english, text) for text in texts)
    return at, to


def _clock(numbers: dict[str, str]) -> list[Phrase]:
    hours = [(english, german) for english, german in numbers.items() if english not in AFTER_TWELVE]
    full = [Phrase(f"at {english} o'clock", f"um {german} Uhr") for english, german in hours]
    # German counts the half hour towards the next hour.
    half = [
        Phrase(f"at half past {hour[0]}", f"um halb {following[1]}") for hour, following in itertools.pairwise(hours)
    ]
    return full + half


AFTER_TWELVE = ("fifteen", "twenty", "thirty", "forty", "fifty")


def _verbs(
    nouns: dict[str, tuple[Noun | str, ...]], places: dict[str, tuple[Place, ...]], manners: dict[str, Phrase]
) -> dict[str, tuple[VerbEntry, ...]]:
    found: dict[str, tuple[VerbEntry, ...]] = {}
    for group, table in read_data("verbs.toml").items():
        entries = []
        for name, row in table.items():
            kind = row.get("kind", "action")

            def gathered(column: str, source: dict[str, tuple[Any, ...]], row: dict[str, Any] = row) -> tuple[Any, ...]:
                return tuple(member for key in row.get(column, ()) for member in source[key])

            entries.append(
                VerbEntry(
                    verb=_verb(name, row, kind),
                    group=group,
                    subjects=gathered("subject", nouns) or ("human",),
                    objects=gathered("object", nouns),
                    recipients=gathered("recipient", nouns),
                    directions=gathered("direction", places),
                    places=gathered("place", places),
                    manners=tuple(manners[key] for key in row.get("manner", ())),
                    determiner=row.get("determiner", "any"),
                    tenses=tuple(row.get("tenses", TENSES_OF_KIND[kind])),
                    clock=row.get("clock", False),
                    company=row.get("company", False),
                    place_needed=row.get("place_needed", False),
                    surface=row.get("surface", ""),
                )
            )
        found |= {entry.verb.name: (entry,) for entry in entries}
        found[f"{group}:"] = tuple(entries)
    return found


def _verb(name: str, row: dict[str, Any], kind: str) -> Verb:
    base, _, rest = row["english"].partition(" ")
    infinitive, third, participle = row["german"].split(", ")
    particle, separator, stem = infinitive.partition("|")
    auxiliary, _, participle = participle.partition(" ")
    english_preposition, _, german_government = row.get("preposition", "").partition(" > ")
    german_preposition, _, case = german_government.partition(" ")
    return Verb(
        name=name,
        english=EnglishVerb(base, rest, row.get("past", ""), row.get("ing", ""), row.get("third", "")),
        german=GermanVerb(
            stem if separator else infinitive,
            particle if separator else "",
            third,
            participle,
            {"hat": "haben", "ist": "sein"}[auxiliary],
            row.get("ich", ""),
            row.get("du", ""),
            row.get("preterite", ""),
            row.get("imperative", ""),
        ),
        kind=kind,
        reflexive=row.get("reflexive", False),
        english_preposition=english_preposition.strip(),
        german_preposition=german_preposition,
        case=case or row.get("case", "accusative"),
        recipient_preposition=row.get("recipient_preposition", ""),
        german_object=_german_noun(row["german_object"]) if "german_object" in row else None,
    )
