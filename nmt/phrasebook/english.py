"""English inflection: plurals, verb forms and comparatives.

Persons are "1s", "2s", "3s", "1p" and "3p", as in the German module.
"""

from __future__ import annotations

from dataclasses import dataclass

VOWELS = "aeiou"
BE_PRESENT = {"1s": "am", "2s": "are", "3s": "is", "1p": "are", "3p": "are"}
BE_PAST = {"1s": "was", "2s": "were", "3s": "was", "1p": "were", "3p": "were"}
OBJECT_PRONOUNS = {"I": "me", "you": "you", "he": "him", "she": "her", "it": "it", "we": "us", "they": "them"}


def add_s(word: str) -> str:
    """The regular plural of a noun, which is also the regular third person of a verb."""
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def comparative(adjective: str, irregular: dict[str, str]) -> str:
    """The comparative: "older", "heavier", "more interesting"."""
    if adjective in irregular:
        return irregular[adjective]
    if adjective.endswith("y"):
        return adjective[:-1] + "ier"
    if len(adjective) > 5 and adjective not in ("strong",):
        return "more " + adjective
    return adjective + ("r" if adjective.endswith("e") else "er")


@dataclass(frozen=True, eq=False)
class EnglishVerb:
    """A verb and the words that always follow it ("get" + "up"), with its irregular forms."""

    base: str
    rest: str = ""
    past_form: str = ""
    ing_form: str = ""
    third_form: str = ""

    @property
    def is_be(self) -> bool:
        """Whether the verb is "to be", which needs no "do" and has no form in -ing here."""
        return self.base == "be"

    def infinitive(self) -> str:
        """The base form with its particles."""
        return self._with_rest(self.base)

    def ing(self) -> str:
        """The form in -ing with its particles."""
        drops_e = self.base.endswith("e") and not self.base.endswith("ee")
        return self._with_rest(self.ing_form or (self.base[:-1] if drops_e else self.base) + "ing")

    def present(self, person: str) -> str:
        """The simple present with its particles."""
        if self.is_be:
            return self._with_rest(BE_PRESENT[person])
        return self._with_rest((self.third_form or add_s(self.base)) if person == "3s" else self.base)

    def past(self, person: str) -> str:
        """The simple past with its particles."""
        if self.is_be:
            return self._with_rest(BE_PAST[person])
        if self.past_form:
            return self._with_rest(self.past_form)
        if self.base.endswith("y") and self.base[-2] not in VOWELS:
            return self._with_rest(self.base[:-1] + "ied")
        return self._with_rest(self.base + ("d" if self.base.endswith("e") else "ed"))

    def _with_rest(self, form: str) -> str:
        return f"{form} {self.rest}" if self.rest else form


def operator_and_verb(verb: EnglishVerb, tense: str, person: str, *, support: bool) -> tuple[str, str]:
    """The auxiliary that negation and questions need, and the rest of the verb.

    Args:
        verb: the verb.
        tense: one of the tenses of the clause module.
        person: the subject's.
        support: whether the clause needs an auxiliary (it is negated or a question): "does ... read", not "reads".

    Returns:
        ("is", "reading"), ("does", "read"), ("", "reads"), ("can", "read"), ("would", "like to read") and so on.
    """
    if tense == "progressive":
        return BE_PRESENT[person], verb.ing()
    if tense in MODALS:
        return MODALS[tense], verb.infinitive()
    if tense == "would":
        return "would", "like to " + verb.infinitive()
    if tense in CATENATIVES:
        leading = CATENATIVES[tense]
        outer = EnglishVerb(leading.base, f"to {verb.infinitive()}", leading.past_form, "", leading.third_form)
        return _simple(outer, leading.rest == "past", person, support)
    return _simple(verb, tense == "past", person, support)


def _simple(verb: EnglishVerb, past: bool, person: str, support: bool) -> tuple[str, str]:
    if verb.is_be:
        return (BE_PAST if past else BE_PRESENT)[person], verb.rest
    if not support:
        return "", verb.past(person) if past else verb.present(person)
    if past:
        return "did", verb.infinitive()
    return ("does" if person == "3s" else "do"), verb.infinitive()


MODALS = {"future": "will", "can": "can", "could": "could", "must": "must", "may": "may", "should": "should"}
# Verbs that take "to" and an infinitive; the rest says which tense they stand in.
CATENATIVES = {
    "have to": EnglishVerb("have", "present", "had", "", "has"),
    "had to": EnglishVerb("have", "past", "had", "", "has"),
    "want": EnglishVerb("want", "present"),
    "wanted": EnglishVerb("want", "past"),
    "like to": EnglishVerb("like", "present"),
}
