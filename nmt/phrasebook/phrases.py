"""What fills the slots of a template: fixed phrases and noun phrases, each of which knows both languages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nmt.phrasebook import english
from nmt.phrasebook.german import (
    CASES,
    PRONOUN_OF_GENDER,
    PRONOUNS,
    RELATIVE,
    GermanNoun,
    after_preposition,
    noun_phrase,
)
from textseq.indefinite_article import article

KNOWN_DETERMINERS = ("the", "this", "my", "your", "his", "her", "its", "our", "their")
DETERMINERS_WITH_KEIN = ("", "a")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase that is the same in every sentence."""

    english_text: str
    german_text: str

    @property
    def lemma(self) -> str:
        """What combinations are named by."""
        return self.english_text

    def english(self, form: str = "") -> str:
        """The English text; there is one form only."""
        return self.english_text

    def german(self, form: str = "") -> str:
        """The German text; there is one form only."""
        return self.german_text


@dataclass(frozen=True, eq=False, slots=True)
class Noun:
    """A noun in both languages, with the class of its meaning."""

    lemma: str
    plural: str
    german: GermanNoun
    meaning: str

    @property
    def counts(self) -> bool:
        """Whether the noun has a plural."""
        return bool(self.german.plural)


@dataclass(frozen=True, eq=False, slots=True)
class Adjective:
    """An adjective in both languages; the stem is what takes German endings ("teur" of "teuer")."""

    lemma: str
    german: str
    german_stem: str
    comparative: str
    german_comparative: str


@dataclass(frozen=True, eq=False, slots=True)
class NounPhrase:
    """A pronoun, a name, or a noun with determiner, adjective and possessor.

    Attributes:
        lemma: the noun's, or the pronoun itself.
        noun: the head; None for a pronoun.
        determiner: "the", "a", "", a possessive, "this", "which", "many" or an English number.
        german_determiner: the same, with a number in German.
        plural: whether the phrase is plural.
        adjective: before the noun, or None.
        possessor: "my brother" in "my brother's car"; the determiner is then "the".
        pronoun: the English subject pronoun; "" for a noun.
        gender: of the pronoun that refers to the phrase: "m", "f", "n" or "p".
    """

    lemma: str
    noun: Noun | None = None
    determiner: str = ""
    german_determiner: str = ""
    plural: bool = False
    adjective: Adjective | None = None
    possessor: NounPhrase | None = None
    pronoun: str = ""
    gender: str = "n"
    human: bool = False

    @property
    def person(self) -> str:
        """The person and number that a verb agrees with."""
        if self.pronoun in ("I", "you", "we"):
            return {"I": "1s", "you": "2s", "we": "1p"}[self.pronoun]
        return "3p" if self.plural else "3s"

    @property
    def is_name(self) -> bool:
        """Whether the phrase is a person's name."""
        return not self.noun and not self.pronoun

    @property
    def indefinite(self) -> bool:
        """Whether negation takes "kein" before it rather than "nicht"."""
        if self.noun is None or self.possessor or not self.noun.german.gender:
            return False
        return self.determiner in DETERMINERS_WITH_KEIN

    @property
    def known(self) -> bool:
        """Whether a manner may follow in German: "den Brief langsam", but not "drei Briefe langsam"."""
        if self.noun is None or self.possessor or self.incorporated:
            return True
        return self.determiner in KNOWN_DETERMINERS

    @property
    def incorporated(self) -> bool:
        """Whether German keeps the object next to the verb at the end: "im Park Fußball spielen"."""
        return self.noun is not None and self.noun.meaning in ("language", "game", "instrument", "sound")

    @property
    def own(self) -> str:
        """The English possessive that refers to the phrase: "my", "her", ..."""
        if self.person == "3s":
            # A girl is "sie" to most speakers, though the noun is neuter.
            return {"m": "his", "f": "her", "n": "her" if self.human else "its"}[self.gender]
        return {"1s": "my", "2s": "your", "1p": "our", "3p": "their"}[self.person]

    def english(self, form: str = "subject") -> str:
        """The English text; form "object" matters for pronouns, "possessive" adds 's."""
        if self.pronoun:
            return english.OBJECT_PRONOUNS[self.pronoun] if form == "object" else self.pronoun
        if form == "pronoun":
            return english.OBJECT_PRONOUNS[self.english_pronoun]
        text = self._english_text()
        if form == "possessive":
            return text + ("'" if text.endswith("s") else "'s")
        return text

    def _english_text(self) -> str:
        if not self.noun:
            return self.lemma
        words = [self.noun.plural if self.plural else self.noun.lemma]
        if self.adjective:
            words.insert(0, self.adjective.lemma)
        if self.possessor:
            words.insert(0, self.possessor.english("possessive"))
        elif self.determiner == "a" and not self.plural:
            words.insert(0, article(words[0]))
        elif self.determiner == "this" and self.plural:
            words.insert(0, "these")
        elif self.determiner and self.determiner != "a":
            words.insert(0, self.determiner)
        return " ".join(words)

    @property
    def english_pronoun(self) -> str:
        """The English subject pronoun that refers to the phrase."""
        if self.pronoun:
            return self.pronoun
        if self.plural:
            return "they"
        return ("he" if self.gender == "m" else "she") if self.human else "it"

    def reference(self) -> NounPhrase:
        """The pronoun that refers back to the phrase; it keeps the German gender of the noun."""
        return NounPhrase(
            self.lemma, pronoun=self.english_pronoun, plural=self.plural, gender=self.gender, human=self.human
        )

    def german(self, case: str = "nominative", *, negated: bool = False) -> str:
        """The German text in a case.

        Args:
            case: "nominative", ...; "relative accusative" gives the relative pronoun that refers to the phrase,
                "pronoun accusative" the personal pronoun.
            negated: whether "kein" stands for the article.
        """
        case = case or "nominative"
        if case.startswith("relative "):
            return RELATIVE["p" if self.plural else self.gender][CASES[case[9:]]]
        if case.startswith("pronoun "):
            return self.reference().german(case[8:])
        if self.pronoun:
            own = PRONOUN_OF_GENDER[self.gender] if self.pronoun == "it" else self.pronoun
            return PRONOUNS[own][CASES[case]]
        if not self.noun:
            return self.lemma + "s" if case == "genitive" else self.lemma
        if self.possessor and self.possessor.is_name:
            bare = self._inflected(case, "")
            return f"{self.possessor.german('genitive')} {bare}"
        if self.possessor:
            return f"{self._inflected(case, 'the')} {self.possessor.german('genitive')}"
        return self._inflected(case, "no" if negated else self.german_determiner)

    def _inflected(self, case: str, determiner: str) -> str:
        noun = self.noun
        if noun is None:
            return self.lemma
        if determiner == "a" and self.plural:
            determiner = ""
        return noun_phrase(
            noun.german,
            case,
            plural=self.plural,
            determiner=determiner,
            adjective=self.adjective.german_stem if self.adjective else "",
        )

    def with_determiner(self, determiner: str) -> NounPhrase:
        """The same noun with another determiner."""
        return replace(self, determiner=determiner, german_determiner=determiner)


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """Somewhere to be or to go; special holds four texts that are not made of a preposition and a noun."""

    lemma: str
    noun: GermanNoun | None
    plural: bool
    prepositions: tuple[str, str, str, str]
    special: tuple[str, str] | None = None

    def at(self) -> Phrase:
        """Being there: "in the kitchen", "in der Küche"."""
        if self.special or self.noun is None:
            return Phrase("at " + self.lemma, self.special[0] if self.special else self.lemma)
        return Phrase(f"{self.prepositions[0]} {self.lemma}", self._german(self.prepositions[1], "dative"))

    def to(self) -> Phrase:
        """Going there: "into the kitchen", "in die Küche"."""
        if self.special or self.noun is None:
            return Phrase(self.lemma, self.special[1] if self.special else self.lemma)
        case = "dative" if self.prepositions[3] in ("zu", "nach") else "accusative"
        return Phrase(f"{self.prepositions[2]} {self.lemma}", self._german(self.prepositions[3], case))

    def _german(self, preposition: str, case: str) -> str:
        if self.noun is None:
            return self.lemma
        return after_preposition(preposition, noun_phrase(self.noun, case, plural=self.plural, determiner="the"))
