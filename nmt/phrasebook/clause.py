"""A clause in both languages: who does what to whom, when, where and how; order and agreement follow from the form.

English forms: "" (statement), "question", "infinitive", "imperative".
German forms: "" (the verb second), "question" (the verb first), "final" (the verb last), "zu" (infinitive with zu),
"infinitive", "imperative".
"""

from __future__ import annotations

from dataclasses import dataclass

from nmt.phrasebook.english import EnglishVerb, operator_and_verb
from nmt.phrasebook.german import (
    REFLEXIVE,
    GermanNoun,
    GermanVerb,
    after_preposition,
    auxiliary,
    noun_phrase,
    weak_past,
)
from nmt.phrasebook.phrases import NounPhrase, Phrase

# Tense -> the German verb of the left bracket; past ones stand in the preterite, by their er-form.
MODALS = {
    "future": "werden",
    "can": "können",
    "must": "müssen",
    "have to": "müssen",
    "want": "wollen",
    "may": "dürfen",
    "would": "möchten",
}
PAST_MODALS = {"could": "konnte", "had to": "musste", "wanted": "wollte", "should": "sollte"}
PRESENT_TENSES = ("progressive", "present", "habit", "like to")


@dataclass(frozen=True, eq=False, slots=True)
class Verb:
    """A verb in both languages; government says what its object looks like."""

    name: str
    english: EnglishVerb
    german: GermanVerb
    kind: str = "action"
    reflexive: bool = False
    english_preposition: str = ""
    german_preposition: str = ""
    case: str = "accusative"
    recipient_preposition: str = ""
    german_object: GermanNoun | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Clause:
    """One clause.

    Attributes:
        gap: the part ("subject" or "object") that a question word or relative pronoun stands for, or "".
        front: whether the time comes first.
        key: the combination of words that the split goes by, such as "read+newspaper".
    """

    subject: NounPhrase
    verb: Verb
    tense: str
    negated: bool = False
    object: NounPhrase | None = None
    complement: Phrase | None = None
    recipient: NounPhrase | None = None
    place: Phrase | None = None
    direction: Phrase | None = None
    manner: Phrase | None = None
    time: Phrase | None = None
    frequency: Phrase | None = None
    front: bool = False
    gap: str = ""
    key: str = ""

    # English ----------------------------------------------------------------------------------------------------

    def english(self, form: str = "") -> str:
        """The English clause in one of its forms."""
        if form == "which":
            return self.object.with_determiner("which").english() if self.object else ""
        if form == "there":
            return (
                f"there {operator_and_verb(self.verb.english, self.tense, self.subject.person, support=True)[0]} "
                + (" ".join([self.subject.english(), *self._english_rest(form)]))
            )
        if form in ("infinitive", "imperative"):
            verb = self.verb.english.infinitive()
            start = [f"do not {verb}" if self.negated else verb]
        else:
            start = self._english_start(question=form == "question")
        if self.front and self.time and not form:
            start.insert(0, self.time.english_text)
        return " ".join(start + self._english_rest(form))

    def _english_start(self, *, question: bool) -> list[str]:
        support = self.negated or question
        operator, verb = operator_and_verb(self.verb.english, self.tense, self.subject.person, support=support)
        subject = "" if self.gap == "subject" else self.subject.english()
        frequency = self.frequency.english_text if self.frequency else ""
        negation = "not" if self.negated else ""
        if operator == "can" and negation and not question:
            operator, negation = "cannot", ""
        words = [operator, subject] if question else [subject, operator]
        return [word for word in (*words, negation, frequency, verb) if word]

    def _english_rest(self, form: str) -> list[str]:
        words = []
        object_text = ""
        if self.object and self.gap != "object":
            object_text = self.object.english("object")
        preposition = self.verb.english_preposition
        if preposition and self.object:
            object_text = f"{preposition} {object_text}".strip()
        recipient = self.recipient.english("object") if self.recipient else ""
        if recipient and self.verb.recipient_preposition:
            words += [object_text, f"{self.verb.recipient_preposition} {recipient}"]
        else:
            words += [recipient, object_text]
        for part in (self.complement, self.direction, self.manner, self.place):
            if part and not (part is self.place and self.gap == "place"):
                words.append(part.english_text)
        if self.time and self.gap != "time" and not (self.front and not form):
            words.append(self.time.english_text)
        return [word for word in words if word]

    # German -----------------------------------------------------------------------------------------------------

    def german(self, form: str = "") -> str:
        """The German clause in one of its forms."""
        if form == "which":
            return self.object.with_determiner("which").german(self.verb.case) if self.object else ""
        if form in ("zu", "infinitive"):
            verb = self.verb.german
            return " ".join([*self._middle(), verb.zu_infinitive if form == "zu" else verb.joined_infinitive])
        if form == "imperative":
            return " ".join([self.verb.german.command, *self._middle(), *self._particle()])
        finite, right = self._brackets()
        subject = [] if self.gap == "subject" else [self.subject.german("nominative")]
        moved = bool(subject) and not self.subject.pronoun
        if form == "final":
            return " ".join([*subject, *self._middle(), self._final_verbs(finite, right)])
        if form == "there" and self.complement:
            return " ".join([self.complement.german_text, finite, *subject])
        if form == "question":
            return " ".join([*self._inverted(finite), *self._middle(without_reflexive=moved), *right])
        if self.front and self.time:
            middle = self._middle(without_time=True, without_reflexive=moved)
            return " ".join([self.time.german_text, *self._inverted(finite), *middle, *right])
        return " ".join([*subject, finite, *self._middle(), *right])

    def _particle(self) -> list[str]:
        return [self.verb.german.particle.strip()] if self.verb.german.particle else []

    def _brackets(self) -> tuple[str, list[str]]:
        """The finite verb, and what stands at the end of a main clause."""
        person, verb = self.subject.person, self.verb.german
        if self.tense in PRESENT_TENSES:
            return verb.present(person), self._particle()
        if self.tense in PAST_MODALS:
            return weak_past(PAST_MODALS[self.tense], person), [verb.joined_infinitive]
        if self.tense in MODALS:
            # "must not" forbids, which is "nicht dürfen" in German.
            modal = "dürfen" if self.tense == "must" and self.negated else MODALS[self.tense]
            return auxiliary(modal, person), [verb.joined_infinitive]
        if verb.preterite:
            return verb.past(person), self._particle()
        return auxiliary(verb.auxiliary, person), [verb.participle]

    def _final_verbs(self, finite: str, right: list[str]) -> str:
        particle = self.verb.german.particle
        if particle and right == self._particle():
            return particle + finite
        return " ".join([*right, finite])

    def _inverted(self, finite: str) -> list[str]:
        """The finite verb and the subject after it; "sich" comes before a noun, but after a pronoun."""
        if self.gap == "subject":
            return [finite]
        subject = self.subject.german("nominative")
        if self.verb.reflexive and not self.subject.pronoun:
            return [finite, REFLEXIVE[self.subject.person], subject]
        return [finite, subject]

    def _middle(self, *, without_time: bool = False, without_reflexive: bool = False) -> list[str]:
        """What stands between the brackets: pronouns, time, dative, accusative, nicht, manner, place, the rest."""
        verb, thing = self.verb, self.object if self.gap != "object" else None
        case = verb.case
        prepositional = bool(verb.german_preposition)
        early = [REFLEXIVE[self.subject.person]] if verb.reflexive and not without_reflexive else []
        when = [self.frequency.german_text] if self.frequency else []
        if self.time and not without_time and self.gap != "time":
            when.append(self.time.german_text)
        if self.tense == "like to":
            when.append("gern")

        before_not: list[str] = []
        last: list[str] = []
        if self.recipient:
            (early if self.recipient.pronoun else before_not).append(self.recipient.german("dative"))
        no_article = bool(thing and thing.indefinite and not prepositional) or verb.german_object is not None
        if thing and not prepositional:
            text = thing.german(case, negated=self.negated) if thing.indefinite else thing.german(case)
            if thing.incorporated:
                last.append(text)
            else:
                (early if thing.pronoun else before_not).append(text)
        if verb.german_object is not None:
            determiner = "no" if self.negated else ""
            before_not.append(noun_phrase(verb.german_object, "accusative", plural=False, determiner=determiner))

        after_not = [part.german_text for part in (self.manner, self.place if self.gap != "place" else None) if part]
        if thing and prepositional:
            after_not.append(after_preposition(verb.german_preposition, thing.german(case)))
        after_not += [part.german_text for part in (self.direction, self.complement) if part and part.german_text]

        # What is denied stands after "nicht"; a known thing has been named by then, so it comes before the time.
        known_first = self.negated and not no_article
        core = before_not + when if known_first else when + before_not
        negation = ["nicht"] if known_first else []
        return early + core + negation + after_not + last
