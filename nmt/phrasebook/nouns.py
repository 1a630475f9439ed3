"""Draws noun phrases that make sense: which determiner, number and adjective a noun takes in everyday talk."""

from __future__ import annotations

from collections.abc import Sequence

from nmt.phrasebook.lexicon import Lexicon
from nmt.phrasebook.phrases import Adjective, Noun, NounPhrase
from textseq.draw import Draw

FEMININE = ("dress", "skirt")
PERSONAL = ("I", "you", "he", "she", "we", "they")
POSSESSIVES = ("my", "your", "his", "her", "our", "their")
# Things that one speaks of as one's own.
OWNED = ("belonging", "clothes", "vehicle", "device", "dwelling", "furniture", "reading", "post", "animal")
COUNTED = ("snack", "clothes", "reading", "post", "present", "belonging", "animal", "vehicle", "furniture", "text")
SMALL_NUMBERS = ("two", "three", "four", "five", "six")
PLURAL_DEFINITE = ("snack", "clothes", "post", "present", "animal", "text", "people", "reading", "opening")
IT = NounPhrase("it", pronoun="it", gender="n")

# Kinds of determiners and how often each is drawn; "+" stands for an adjective.
DEFINITE = ("the", "the", "the", "the+", "the+", "own", "own", "this", "of", "plural")
INDEFINITE = ("a", "a", "a", "a+", "a+", "number", "number+", "many")
KINDS = {
    "definite": DEFINITE,
    "indefinite": INDEFINITE,
    "any": DEFINITE + INDEFINITE,
    "the": ("the", "the", "the+"),
    "the_a": ("the", "the+", "a", "a+", "own", "number"),
    "owner": ("own", "of"),
    "shop": ("the", "the+", "this", "a", "a", "a+", "number", "number+"),
    "worn": ("the", "the+", "own", "own", "this"),
    "plain": ("bare", "bare", "bare+"),
}
PLURAL_KINDS = ("number", "number+", "many", "bare", "bare+", "plural")


def pronoun_phrase(pronoun: str) -> NounPhrase:
    """A personal pronoun as a phrase."""
    gender = {"he": "m", "she": "f"}.get(pronoun, "p" if pronoun in ("we", "they") else "m")
    return NounPhrase(pronoun, pronoun=pronoun, plural=pronoun in ("we", "they"), gender=gender, human=True)


class NounDraw:
    """Draws noun phrases from a lexicon."""

    def __init__(self, lexicon: Lexicon) -> None:
        """Keeps the lexicon."""
        self._lexicon = lexicon
        people = {"family": 4, "acquaintance": 1, "people": 3}
        self._people = [
            noun for name, weight in people.items() for noun in lexicon.nouns[name] * weight if isinstance(noun, Noun)
        ]

    def subject(self, draw: Draw, members: Sequence[Noun | str], kind: str = "subject") -> NounPhrase:
        """Somebody or something that acts."""
        return self._from(draw, draw.choose(members), kind, None)

    def object(self, draw: Draw, members: Sequence[Noun | str], kind: str, subject: NounPhrase) -> NounPhrase:
        """What something is done to; kind is a key of KINDS."""
        return self._from(draw, draw.choose(members), kind, subject)

    def _from(self, draw: Draw, member: Noun | str, kind: str, subject: NounPhrase | None) -> NounPhrase:
        if isinstance(member, Noun):
            if member.meaning in ("family", "acquaintance", "people"):
                return self._person(draw, member, kind, subject)
            return self._thing(draw, member, "definite" if kind in ("subject", "some") else kind, subject)
        if member == "name":
            name, gender = draw.choose(self._lexicon.names)
            return NounPhrase(name, gender=gender, human=True)
        if member == "pronoun":
            return pronoun_phrase(draw.choose([word for word in PERSONAL if not subject or _differs(word, subject)]))
        if member == "weather_it":
            return IT
        kind_of_human = draw.below(10)
        if kind_of_human < 4:
            return pronoun_phrase(draw.choose(PERSONAL))
        if kind_of_human < 5:
            return self._from(draw, "name", kind, subject)
        return self._person(draw, draw.choose(self._people), kind, subject)

    def _person(self, draw: Draw, noun: Noun, kind: str, subject: NounPhrase | None) -> NounPhrase:
        gender = noun.german.gender
        if kind == "indefinite":
            return self._thing(draw, noun, kind, subject)
        if noun.meaning in ("family", "acquaintance"):
            own = subject.own if subject and draw.percent(60) else draw.choose(POSSESSIVES)
            if subject and subject.person == "3s" and own in ("his", "her"):
                own = subject.own
            plural = draw.percent(12) and noun.lemma in (
                "brother",
                "sister",
                "son",
                "daughter",
                "neighbour",
                "colleague",
            )
            adjective = self._adjective(draw, noun) if draw.percent(12) else None
            return NounPhrase(noun.lemma, noun, own, own, plural, adjective, None, "", "p" if plural else gender, True)
        # "Das Kind" would need a pronoun of its own, so children come in the plural.
        plural = draw.percent(20) or noun.lemma == "child"
        determiner = draw.choose(("the",) * 11 + ("this",))
        if noun.lemma == "child" or kind == "the":
            determiner = "the"
        elif (kind == "any" and draw.percent(40)) or (kind == "some" and draw.percent(15)):
            determiner, plural = "a", False
        adjective = self._adjective(draw, noun) if draw.percent(25) else None
        gender = "p" if plural else gender
        return NounPhrase(noun.lemma, noun, determiner, determiner, plural, adjective, None, "", gender, True)

    def _thing(self, draw: Draw, noun: Noun, kind: str, subject: NounPhrase | None) -> NounPhrase:
        if not noun.german.gender:
            return NounPhrase(noun.lemma, noun)
        choice = self._possible(draw.choose(KINDS[kind]), noun, kind)
        if choice == "own" and noun.lemma in FEMININE and subject is not None and subject.gender == "m":
            choice = "the"
        adjective = None
        if choice.endswith("+"):
            choice = choice[:-1]
            adjective = self._adjective(draw, noun)
        plural = choice in PLURAL_KINDS and noun.counts
        determiner, german, possessor = choice, choice, None
        if choice == "number":
            determiner = draw.choose(SMALL_NUMBERS)
            german = self._lexicon.numbers[determiner]
        elif choice == "own":
            determiner = german = subject.own if subject else draw.choose(POSSESSIVES)
        elif choice == "of":
            determiner = german = "the"
            possessor = self._possessor(draw, subject)
            if noun.lemma in FEMININE and possessor.gender == "m":
                possessor = None
        elif choice == "plural":
            determiner = german = "the"
        elif choice == "bare":
            determiner = german = ""
        gender = "p" if plural else noun.german.gender
        return NounPhrase(noun.lemma, noun, determiner, german, plural, adjective, possessor, "", gender)

    def _possible(self, choice: str, noun: Noun, kind: str) -> str:
        """The choice, or the nearest one that the noun allows."""
        mark = "+" if choice.endswith("+") else ""
        if not noun.counts and (choice.rstrip("+") in ("a", "number", "many") or kind in ("any", "shop")):
            return "bare" + mark
        if choice == "this" and noun.meaning == "occasion":
            return "the"
        if choice in ("own", "of") and noun.meaning not in OWNED:
            return "the"
        if choice == "plural" and noun.meaning not in PLURAL_DEFINITE:
            return "the"
        if choice.rstrip("+") in ("number", "many") and noun.meaning not in COUNTED:
            return "a" + mark
        return choice

    def _possessor(self, draw: Draw, subject: NounPhrase | None) -> NounPhrase:
        if draw.percent(40):
            return self._from(draw, "name", "the", subject)
        if draw.percent(75):
            noun = draw.choose(self._lexicon.nouns["family"])
            own = subject.own if subject and subject.own != "its" else draw.choose(POSSESSIVES)
        else:
            noun, own = draw.choose(self._lexicon.nouns["people"]), "the"
        if not isinstance(noun, Noun):
            raise TypeError(f"{noun!r} is no noun; the classes family and people hold nouns only")
        return NounPhrase(noun.lemma, noun, own, own, gender=noun.german.gender, human=True)

    def _adjective(self, draw: Draw, noun: Noun) -> Adjective | None:
        describing = self._lexicon.describing
        choices = describing.get(noun.lemma) or describing.get(noun.meaning)
        return self._lexicon.adjectives[draw.choose(choices)] if choices else None


def _differs(pronoun: str, subject: NounPhrase) -> bool:
    """Whether the pronoun as an object means somebody other than the subject."""
    if subject.english_pronoun in ("I", "we"):
        return pronoun not in ("I", "we")
    return pronoun != subject.english_pronoun
