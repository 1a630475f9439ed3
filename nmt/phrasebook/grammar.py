"""Composes sentence pairs: a template names its clauses, the lexicon fills them, the clauses know their word order."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nmt.phrasebook.clause import Clause
from nmt.phrasebook.lexicon import Lexicon, VerbEntry, load_lexicon, read_data
from nmt.phrasebook.nouns import PERSONAL, NounDraw, pronoun_phrase
from nmt.phrasebook.phrases import Noun, NounPhrase, Phrase
from textseq.composed_corpus import with_capitals
from textseq.draw import Draw

SLOT = re.compile(r"\{(\w+)(?::([^}]*))?\}")
MODALS = ("can", "can", "must", "have to", "want", "want", "would", "should")
PAST_MODALS = ("could", "had to", "wanted")
TIMES_OF_TENSE = {"progressive": "now", "past": "past", "future": "future", "habit": "habit"}
TIMES_OF_TENSE |= dict.fromkeys(PAST_MODALS, "past") | dict.fromkeys(MODALS, "future") | {"may": "future"}
# What a thing can be too much of.
TOO_MUCH = (
    "old", "expensive", "cheap", "dirty", "hot", "cold", "long", "short", "big", "small", "heavy", "boring",
    "difficult", "slow", "warm",
)  # fmt: skip
CHILDREN, ALCOHOL = ("child", "boy", "girl"), ("beer", "wine")
AGES = {
    "young age": ("six", "seven", "eight", "nine", "ten", "eleven", "twelve", "fifteen", "twenty"),
    "adult age": ("thirty", "forty", "fifty"),
}
PRICES = ("ten", "eleven", "twelve", "fifteen", "twenty", "thirty", "forty", "fifty")
INTENSIFIERS = (("", ""), ("", ""), ("very ", "sehr "), ("too ", "zu "))


@dataclass(frozen=True, slots=True)
class Sentence:
    """A composed pair and the combinations of words that it is made of, such as "read+newspaper"."""

    source: str
    target: str
    template: str
    combinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence pattern: texts with slots such as {a:question}, and how to fill each slot."""

    name: str
    english: tuple[str | tuple[str, str], ...]
    german: tuple[str | tuple[str, str], ...]
    slots: dict[str, dict[str, Any]]


def _parts(text: str) -> tuple[str | tuple[str, str], ...]:
    parts: list[str | tuple[str, str]] = []
    position = 0
    for found in SLOT.finditer(text):
        parts += [text[position : found.start()], (found.group(1), found.group(2) or "")]
        position = found.end()
    return tuple(part for part in [*parts, text[position:]] if part)


class Grammar:
    """All templates over one lexicon.

    Example:
        >>> Grammar().sentence(Draw(1, 1)).target  # the sentence is None where the words drawn make no sense
        'Er ist gestern Abend dem Koch leise gefolgt.'
    """

    def __init__(self, lexicon: Lexicon | None = None) -> None:
        """Reads the templates, and the lexicon where none is given."""
        self.lexicon = lexicon or load_lexicon()
        self._nouns = NounDraw(self.lexicon)
        self._weighted: list[Template] = []
        for row in read_data("templates.toml")["template"]:
            slots = {key: value for key, value in row.items() if isinstance(value, dict)}
            template = Template(row["name"], _parts(row["english"]), _parts(row["german"]), slots)
            self._weighted += [template] * row.get("weight", 1)
        self._entries: dict[tuple[str, ...], tuple[VerbEntry, ...]] = {}

    def sentence(self, draw: Draw) -> Sentence | None:
        """A sentence, or None where the drawn words do not go together."""
        template = draw.choose(self._weighted)
        filled: dict[str, Any] = {}
        for name, spec in template.slots.items():
            value = self._fill(draw, spec, filled)
            if value is None:
                return None
            filled[name] = value
        source = _render(template.english, lambda name, form: filled[name].english(form))
        target = _render(template.german, lambda name, form: filled[name].german(form))
        return Sentence(source, target, template.name, _combinations(template, filled))

    def _fill(self, draw: Draw, spec: dict[str, Any], filled: dict[str, Any]) -> Any:
        kind = spec.get("kind", "clause")
        if kind == "part":
            return _determined(_refer(filled, spec["of"]), spec.get("determiner", ""))
        if kind == "noun":
            members = self._members(spec["nouns"])
            subject = pronoun_phrase(draw.choose(PERSONAL))
            return self._nouns.object(draw, members, spec.get("determiner", "definite"), subject)
        if kind == "number":
            english, german = draw.choose(list(self.lexicon.numbers.items()))
            return Phrase(english, german)
        if kind == "choice":
            return Phrase(*draw.choose(spec["choices"]))
        return self._clause(draw, spec, filled)

    def _members(self, names: list[str]) -> list[Noun | str]:
        return [member for name in names for member in self.lexicon.nouns[name]]

    def _clause(self, draw: Draw, spec: dict[str, Any], filled: dict[str, Any]) -> Clause | None:
        entry = draw.choose(self._verb_entries(tuple(spec.get("verbs", ("any",)))))
        tense = self._tense(draw, spec, entry)
        subject = self._subject(draw, spec, entry, filled)
        if tense is None or subject is None or spec.get("person", subject.person) != subject.person:
            return None
        if subject.pronoun and subject.pronoun in spec.get("not_subject", ()):
            return None
        for other in filled.values():
            if isinstance(other, Clause) and (
                other.verb is entry.verb or _another_of_a_kind(spec, subject, other.subject)
            ):
                return None
        negated, gap = draw.percent(spec.get("negated", 0)), spec.get("gap", "")
        arguments = self._arguments(draw, spec, entry, Clause(subject, entry.verb, tense, negated), filled)
        if arguments is None:
            return None
        if subject.lemma in CHILDREN and (entry.verb.name == "smoke" or _lemma(arguments.get("object")) in ALCOHOL):
            return None
        clause = Clause(subject, entry.verb, tense, negated, gap=gap, **arguments)
        adjuncts = self._adjuncts(draw, spec, entry, clause)
        negated = adjuncts.pop("negated", negated)
        return Clause(subject, entry.verb, tense, negated, gap=gap, **arguments, **adjuncts)

    def _verb_entries(self, names: tuple[str, ...]) -> tuple[VerbEntry, ...]:
        if names not in self._entries:
            verbs = self.lexicon.verbs
            everything = [key for key in verbs if key.endswith(":") and key != "state:"]
            keys = [key for name in names for key in (everything if name == "any" else [name])]
            self._entries[names] = tuple(entry for key in keys for entry in verbs[key])
        return self._entries[names]

    def _tense(self, draw: Draw, spec: dict[str, Any], entry: VerbEntry) -> str | None:
        tense = draw.choose(
            spec.get("tense", ("progressive", "progressive", "past", "past", "future", "modal", "habit"))
        )
        if "forced" in spec:
            return spec["tense"][0] if len(spec["tense"]) == 1 else tense
        if tense == "progressive" and "progressive" not in entry.tenses:
            tense = "present"
        group = "modal" if tense in (*MODALS, *PAST_MODALS, "may") else tense
        if group not in entry.tenses:
            return None
        if tense == "modal":
            return draw.choose(MODALS if draw.percent(70) else PAST_MODALS)
        return tense

    def _subject(self, draw: Draw, spec: dict[str, Any], entry: VerbEntry, filled: dict[str, Any]) -> NounPhrase | None:
        wanted = spec.get("subject")
        if wanted is None:
            return self._nouns.subject(draw, entry.subjects, spec.get("subject_kind", "subject"))
        if isinstance(wanted, list):
            possible = self._members(wanted)
            if entry.subjects != ("human",) and wanted != ["human"]:
                possible = [member for member in possible if member in entry.subjects or entry.verb.name == "be"]
            return self._nouns.subject(draw, possible) if possible else None
        if wanted.startswith("@"):
            return _refer(filled, wanted[1:]).reference()
        if wanted.startswith("="):
            return _refer(filled, wanted[1:])
        return pronoun_phrase(wanted)

    def _arguments(
        self, draw: Draw, spec: dict[str, Any], entry: VerbEntry, clause: Clause, filled: dict[str, Any]
    ) -> dict[str, Any] | None:
        changes: dict[str, Any] = {}
        subject = clause.subject
        if "object" in spec:
            changes["object"] = _refer(filled, spec["object"][1:]).reference()
        elif entry.objects:
            members = entry.objects
            if "objects" in spec:
                members = tuple(member for member in self._members(spec["objects"]) if member in entry.objects)
            if not members:
                return None
            kind = "plain" if clause.tense == "like to" else spec.get("determiner", entry.determiner)
            thing = self._nouns.object(draw, members, kind, subject)
            if thing.lemma == subject.lemma or (clause.tense == "like to" and not (thing.noun and not thing.human)):
                return None
            if (
                clause.negated
                and thing.noun
                and (thing.determiner == "many" or thing.determiner in self.lexicon.numbers)
            ):
                return None
            changes["object"] = thing
        if entry.recipients:
            changes["recipient"] = self._nouns.object(draw, entry.recipients, "definite", subject)
            if changes["recipient"].lemma == subject.lemma:
                return None
        if entry.directions:
            names = spec.get("direction")
            directions = [place for place in entry.directions if names is None or place.lemma in names]
            if not directions:
                return None
            changes["direction"] = draw.choose(directions).to()
        if "complement" in spec:
            changes["complement"] = self._complement(draw, spec["complement"], _described(spec, subject, filled))
            if changes["complement"] is None:
                return None
        elif entry.surface:
            changes["complement"] = draw.choose(self.lexicon.surfaces)[entry.surface == "to"]
        changes["key"] = _key(entry, subject, changes)
        return changes

    def _complement(self, draw: Draw, wanted: Any, subject: NounPhrase) -> Phrase | None:
        adjective_before = subject.adjective.lemma if subject.adjective else ""
        if isinstance(wanted, list):
            phrase = Phrase(*draw.choose(wanted))
            return None if adjective_before and adjective_before in phrase.english_text else phrase
        if adjective_before and wanted in ("predicate", *AGES):
            return None
        if wanted in AGES:
            english, german = draw.choose([row for row in self.lexicon.numbers.items() if row[0] in AGES[wanted]])
            return Phrase(f"{english} years old", f"{german} Jahre alt")
        if wanted == "price":
            english, german = draw.choose([row for row in self.lexicon.numbers.items() if row[0] in PRICES])
            return Phrase(f"{english} euros", f"{german} Euro")
        meaning = subject.noun.meaning if subject.noun else "family"
        if wanted == "predicate":
            if meaning not in self.lexicon.predicates:
                return None
            adjective = self.lexicon.adjectives[draw.choose(self.lexicon.predicates[meaning])]
            english, german = draw.choose(INTENSIFIERS)
            if english == "too " and (subject.human or adjective.lemma not in TOO_MUCH):
                english, german = "very ", "sehr "
            return Phrase(english + adjective.lemma, german + adjective.german)
        return self._comparison(draw, wanted, subject, meaning)

    def _comparison(self, draw: Draw, wanted: str, subject: NounPhrase, meaning: str) -> Phrase | None:
        comparing = self.lexicon.comparing
        choices = comparing.get(subject.lemma if subject.noun else "brother") or comparing.get(meaning)
        if choices is None or subject.pronoun:
            return None
        adjective = self.lexicon.adjectives[draw.choose(choices)]
        if wanted == "equal" and adjective.lemma == "young":
            return None
        siblings: tuple[Noun | str, ...] = ("name", *self.lexicon.nouns["brother"], *self.lexicon.nouns["sister"])
        relatives = siblings if subject.is_name or subject.noun in siblings else self.lexicon.nouns["family"]
        members = relatives if subject.human else self.lexicon.nouns[subject.lemma]
        owner = subject if subject.human else pronoun_phrase(draw.choose(PERSONAL))
        other = self._nouns.object(draw, members, "definite", owner)
        owned = other.human or other.possessor or other.determiner not in ("the", "this")
        if not owned or other.english() == subject.english() or (other.lemma == subject.lemma and subject.human):
            return None
        if wanted == "comparative":
            return Phrase(
                f"{adjective.comparative} than {other.english()}",
                f"{adjective.german_comparative} als {other.german()}",
            )
        return Phrase(f"as {adjective.lemma} as {other.english()}", f"so {adjective.german} wie {other.german()}")

    def _adjuncts(self, draw: Draw, spec: dict[str, Any], entry: VerbEntry, clause: Clause) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        changes |= self._time(draw, spec, entry, clause)
        denied_object = clause.negated and (clause.object or clause.direction)
        place_free = not denied_object and not clause.recipient
        if entry.place_needed or (entry.places and place_free and draw.percent(spec.get("place", 30))):
            changes["place"] = draw.choose(entry.places).at()
        if clause.negated or clause.tense in ("like to", "may", "would", "want", "wanted") or "place" in changes:
            return changes
        if entry.company and draw.percent(spec.get("manner", 25)):
            other = self._nouns.object(
                draw, self._members(["family", "acquaintance", "name", "pronoun"]), "definite", clause.subject
            )
            if other.lemma != clause.subject.lemma and not (clause.object and clause.object.lemma == other.lemma):
                changes["manner"] = Phrase(f"with {other.english('object')}", f"mit {other.german('dative')}")
        elif entry.manners and (not clause.object or clause.object.known) and draw.percent(spec.get("manner", 25)):
            manner = draw.choose(entry.manners)
            if manner.english_text != "well" or clause.tense in ("habit", "present", "past", "can", "could"):
                changes["manner"] = manner
        return changes

    def _time(self, draw: Draw, spec: dict[str, Any], entry: VerbEntry, clause: Clause) -> dict[str, Any]:
        times = self.lexicon.times
        if clause.tense == "habit" and not spec.get("front") and draw.percent(spec.get("frequency", 55)):
            changes: dict[str, Any] = {"frequency": draw.choose(times["frequency"]), "negated": False}
            return changes
        name = spec.get("times") or TIMES_OF_TENSE.get(clause.tense)
        chance = 100 if clause.tense == "habit" or spec.get("front") else spec.get("time", 35)
        if name is None or not draw.percent(chance):
            return {}
        time = draw.choose(times[name])
        if entry.clock and clause.tense != "progressive" and not clause.negated and draw.percent(60):
            time = draw.choose(times["clock"])
        changes = {"time": time, "front": bool(spec.get("front"))}
        if clause.tense == "habit":
            changes["negated"] = False
        return changes


def _refer(filled: dict[str, Any], path: str) -> NounPhrase:
    slot, _, part = path.partition(".")
    found = getattr(filled[slot], part) if part else filled[slot]
    if not isinstance(found, NounPhrase):
        raise TypeError(f"templates.toml: {path!r} is {found!r}, expected a noun phrase; give the slot an object")
    return found


def _lemma(phrase: NounPhrase | None) -> str:
    return phrase.lemma if phrase else ""


def _described(spec: dict[str, Any], subject: NounPhrase, filled: dict[str, Any]) -> NounPhrase:
    """What a predicate is about: a pronoun's noun, where the subject is a pronoun."""
    return _refer(filled, spec["subject"][1:]) if str(spec.get("subject", "")).startswith("@") else subject


def _another_of_a_kind(spec: dict[str, Any], subject: NounPhrase, other: NounPhrase) -> bool:
    """Whether two clauses speak of two cooks, say, where a reader would take them for one."""
    newly_drawn = not isinstance(spec.get("subject"), str)
    return newly_drawn and subject.noun is not None and subject.noun is other.noun


def _determined(phrase: NounPhrase, determiner: str) -> NounPhrase | None:
    if not determiner:
        return phrase
    if phrase.noun is None or not phrase.noun.german.gender:
        return None
    return replace(phrase.with_determiner(determiner), possessor=None)


def _key(entry: VerbEntry, subject: NounPhrase, arguments: dict[str, Any]) -> str:
    for part in ("object", "direction", "complement"):
        if arguments.get(part):
            other = arguments[part].lemma
            beside = f"+{subject.lemma}" if part == "complement" else ""
            return f"{entry.verb.name}+{other}{beside}"
    return f"{entry.verb.name}+{subject.lemma}"


def _combinations(template: Template, filled: dict[str, Any]) -> tuple[str, ...]:
    clauses = tuple(value.key for value in filled.values() if isinstance(value, Clause))
    if clauses:
        return clauses
    return (f"{template.name}+" + "+".join(value.lemma for value in filled.values()),)


def _render(parts: tuple[str | tuple[str, str], ...], text_of: Callable[[str, str], str]) -> str:
    return with_capitals("".join(part if isinstance(part, str) else text_of(*part) for part in parts))
