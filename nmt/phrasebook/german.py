"""German inflection: articles, adjectives, nouns, pronouns and verbs.

Genders are "m", "f", "n" and, for every plural, "p". Persons are "1s", "2s", "3s", "1p" and "3p".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

CASES = {"nominative": 0, "accusative": 1, "dative": 2, "genitive": 3}

DEFINITE = {
    "m": ("der", "den", "dem", "des"),
    "f": ("die", "die", "der", "der"),
    "n": ("das", "das", "dem", "des"),
    "p": ("die", "die", "den", "der"),
}
RELATIVE = {
    "m": ("der", "den", "dem", "dessen"),
    "f": ("die", "die", "der", "deren"),
    "n": ("das", "das", "dem", "dessen"),
    "p": ("die", "die", "denen", "deren"),
}
# The endings of "ein", "kein" and the possessives, and of "dieser" and "welcher".
EIN_ENDINGS = {"m": ("", "en", "em", "es"), "f": ("e", "e", "er", "er"), "n": ("", "", "em", "es")}
EIN_ENDINGS["p"] = ("e", "e", "en", "er")
DER_ENDINGS = {"m": ("er", "en", "em", "es"), "f": ("e", "e", "er", "er"), "n": ("es", "es", "em", "es")}
DER_ENDINGS["p"] = ("e", "e", "en", "er")

# The adjective after an article that shows the case, after "ein", and without any article.
WEAK = {"m": ("e", "en", "en", "en"), "f": ("e", "e", "en", "en"), "n": ("e", "e", "en", "en"), "p": ("en",) * 4}
MIXED = {"m": ("er", "en", "en", "en"), "f": ("e", "e", "en", "en"), "n": ("es", "es", "en", "en"), "p": ("en",) * 4}
STRONG = {"m": ("er", "en", "em", "en"), "f": ("e", "e", "er", "er"), "n": ("es", "es", "em", "en")}
STRONG["p"] = ("e", "e", "en", "er")

EIN_WORDS = {"a": "ein", "no": "kein", "my": "mein", "your": "dein", "his": "sein", "her": "ihr", "our": "unser"}
EIN_WORDS |= {"their": "ihr", "its": "sein"}
DER_WORDS = {"this": "dies", "which": "welch", "every": "jed"}

# English subject form -> nominative, accusative, dative; "it" depends on the noun and is looked up by gender.
PRONOUNS = {
    "I": ("ich", "mich", "mir"),
    "you": ("du", "dich", "dir"),
    "he": ("er", "ihn", "ihm"),
    "she": ("sie", "sie", "ihr"),
    "it": ("es", "es", "ihm"),
    "we": ("wir", "uns", "uns"),
    "they": ("sie", "sie", "ihnen"),
}
PRONOUN_OF_GENDER = {"m": "he", "f": "she", "n": "it", "p": "they"}
REFLEXIVE = {"1s": "mich", "2s": "dich", "3s": "sich", "1p": "uns", "3p": "sich"}

PERSONS = ("1s", "2s", "3s", "1p", "3p")
IRREGULAR = {
    "sein": ("bin", "bist", "ist", "sind", "sind"),
    "haben": ("habe", "hast", "hat", "haben", "haben"),
    "werden": ("werde", "wirst", "wird", "werden", "werden"),
    "können": ("kann", "kannst", "kann", "können", "können"),
    "müssen": ("muss", "musst", "muss", "müssen", "müssen"),
    "wollen": ("will", "willst", "will", "wollen", "wollen"),
    "dürfen": ("darf", "darfst", "darf", "dürfen", "dürfen"),
    "möchten": ("möchte", "möchtest", "möchte", "möchten", "möchten"),
}
CONTRACTIONS = {
    ("in", "dem"): "im",
    ("in", "das"): "ins",
    ("an", "dem"): "am",
    ("an", "das"): "ans",
    ("bei", "dem"): "beim",
    ("von", "dem"): "vom",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
}


@dataclass(frozen=True, eq=False)
class GermanNoun:
    """A noun's dictionary entry; gender is "" where the noun never takes an article (Deutsch, Berlin)."""

    singular: str
    plural: str
    gender: str
    weak: bool = False

    def form(self, case: str, plural: bool) -> str:
        """The inflected noun, without article."""
        if plural:
            needs_n = case == "dative" and self.plural[-1] not in "ns"
            return self.plural + "n" if needs_n else self.plural
        if self.weak and case != "nominative":
            return self.plural
        if case == "genitive" and self.gender in ("m", "n"):
            return self.singular + _genitive_ending(self.singular)
        return self.singular


def _genitive_ending(noun: str) -> str:
    if noun[-1] in "sßxz":
        return "es"
    syllables = sum(letter in "aeiouäöüy" and noun[i - 1] not in "aeiou" for i, letter in enumerate(noun.lower()))
    return "es" if syllables == 1 and noun[-1] not in "aeiouf" else "s"


@cache
def noun_phrase(noun: GermanNoun, case: str, *, plural: bool, determiner: str, adjective: str = "") -> str:
    """Article or other determiner, adjective (its stem) and noun, agreeing in gender, case and number.

    Args:
        noun: the head.
        case: "nominative", "accusative", "dative" or "genitive".
        plural: whether the head is plural.
        determiner: an English determiner ("the", "a", "my", "this", ...), "" for none, or a German word that
            takes no ending, such as "drei".
        adjective: the stem that takes the ending, or "".
    """
    index = CASES[case]
    gender = "p" if plural else noun.gender
    if not gender:
        return noun.singular
    endings = WEAK
    if determiner == "the":
        words = [DEFINITE[gender][index]]
    elif determiner in DER_WORDS:
        words = [DER_WORDS[determiner] + DER_ENDINGS[gender][index]]
    elif determiner in EIN_WORDS:
        words = [EIN_WORDS[determiner] + EIN_ENDINGS[gender][index]]
        endings = MIXED
    elif determiner == "many":
        words = ["viele" + ("n" if case == "dative" else "")]
        endings = STRONG
    else:
        words = [determiner] if determiner else []
        endings = STRONG
    if adjective:
        words.append(adjective + endings[gender][index])
    words.append(noun.form(case, plural))
    return " ".join(words)


def after_preposition(preposition: str, phrase: str) -> str:
    """Preposition and noun phrase, contracted where German does so (in dem -> im)."""
    first, _, rest = phrase.partition(" ")
    short = CONTRACTIONS.get((preposition, first)) if rest else None
    return f"{short} {rest}" if short else f"{preposition} {phrase}"


@dataclass(frozen=True, eq=False)
class GermanVerb:
    """A verb's dictionary entry; particle is "" where the verb is not separable."""

    infinitive: str
    particle: str
    third: str
    participle: str
    auxiliary: str
    first: str = ""
    second: str = ""
    preterite: str = ""
    imperative: str = ""

    @property
    def joined_infinitive(self) -> str:
        """The infinitive with its particle: "anrufen"."""
        return self.particle + self.infinitive

    @property
    def zu_infinitive(self) -> str:
        """The infinitive with zu, which stands inside a separable verb: "anzurufen"."""
        if self.particle.endswith(" "):
            return f"{self.particle}zu {self.infinitive}"
        return f"{self.particle}zu{self.infinitive}" if self.particle else f"zu {self.infinitive}"

    @property
    def command(self) -> str:
        """The finite part of the imperative to one friend."""
        return self.imperative or self._stem

    @property
    def _stem(self) -> str:
        return self.infinitive.removesuffix("en")

    def present(self, person: str) -> str:
        """The finite form of the present, without the particle."""
        if self.infinitive in IRREGULAR:
            return IRREGULAR[self.infinitive][PERSONS.index(person)]
        if person == "1s":
            return self.first or self._stem + "e"
        if person == "2s":
            return self.second or _second_person(self.third)
        return self.third if person == "3s" else self.infinitive

    def past(self, person: str) -> str:
        """The finite form of the preterite, for the few verbs that use it in conversation."""
        return weak_past(self.preterite, person)


def _second_person(third: str) -> str:
    stem = third.removesuffix("t")
    return stem + ("t" if stem[-1] in "sßxz" else "st")


def weak_past(third: str, person: str) -> str:
    """The preterite from its er-form: hatte, hattest, hatten; war, warst, waren."""
    if person in ("1s", "3s"):
        return third
    if person == "2s":
        return third + "st"
    return third + ("n" if third.endswith("e") else "en")


def auxiliary(infinitive: str, person: str) -> str:
    """The present of haben, sein, werden or a modal verb."""
    return IRREGULAR[infinitive][PERSONS.index(person)]
