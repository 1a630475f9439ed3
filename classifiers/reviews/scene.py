"""One review while it is composed: who writes, about what, in which words so far."""

from __future__ import annotations

import re
from collections.abc import Callable

from classifiers.reviews.lexicon import NEGATIVE, OPPOSITE, POSITIVE, Adjective, Aspect, Lexicon, Topic, Wording
from textseq.draw import Draw
from textseq.indefinite_article import article

SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?(?: (\w+))?\}")
WRITERS = {
    "I": {"I": "I", "me": "me", "my": "my", "mine": "mine", "have": "have", "am": "am", "was_I": "was"},
    "we": {"I": "we", "me": "us", "my": "our", "mine": "ours", "have": "have", "am": "are", "was_I": "were"},
}
PLAIN, BOTH = (False,), (False, True)
# Wordings that may stand twice in one review.
REPEATABLE = ("plain", "not", "")


class DeadEnd(Exception):
    """The words drawn leave none that fits."""


class Scene:
    """Fills the slots of templates; all the slots of one review share the writer, the topic and the words used.

    Args:
        lexicon: all words.
        draw: the choices.
        topic: what the review is about.
        label: "positive", "negative" or "neutral".

    Attributes:
        combinations: the pairs of words that carry the opinion, such as "soup+bland" and "not at all+bland".
        facts: the same for statements of fact.
    """

    def __init__(self, lexicon: Lexicon, draw: Draw, topic: Topic, label: str) -> None:
        self.combinations: list[str] = []
        self.facts: list[str] = []
        self._lexicon = lexicon
        self._draw = draw
        self._topic = topic
        self._writer = WRITERS[draw.choose(("I", "I", "we"))]
        self._used: set[str] = set()
        self._aspects: dict[str, Aspect] = {}
        self._template = self._last = ""
        one = draw.choose((POSITIVE, NEGATIVE))
        meant = label if label in OPPOSITE else one
        self._polarities = {
            "for": meant,
            "against": OPPOSITE[meant],
            "one": one,
            "other": OPPOSITE[one],
            POSITIVE: POSITIVE,
            NEGATIVE: NEGATIVE,
        }

    def fill(self, template: str, text: str) -> str:
        """A template's text with its slots filled.

        Args:
            template: its name, one half of the combinations of the words that it holds itself.
            text: see templates.toml.

        Raises:
            DeadEnd: no word is left that fits.
        """
        self._template = template
        self._aspects = {"t": self._topic.aspects[0]} if "{t." in text else {}
        return SLOT.sub(lambda found: self._slot(*found.groups()), text)

    def _slot(self, name: str, form: str | None, polarity: str | None) -> str:
        if name in self._writer:
            return self._writer[name]
        if name in self._lexicon.fillers:
            return self._fresh(self._lexicon.fillers[name])
        if len(name) == 1:
            return self._about(self._aspect(name), form, polarity)
        match name:
            case "verdict":
                verdict = self._fresh(self._lexicon.verdicts[self._polarities[polarity or "for"]])
                self.combinations.append(f"{self._template}+{verdict}")
                said_before = self._last == self._topic.name
                return self._nested(verdict.replace("{topic}", "it" if said_before else f"the {self._topic.name}"))
            case "event":
                event = self._fresh(self._topic.events[self._polarities[polarity or "for"]])
                self.combinations.append(f"{self._template}+{event}")
                return self._nested(event)
            case "fact":
                return self.statement(self._topic.facts)
            case "untried":
                return self._nested(self._fresh(self._topic.untried))
            case "wow":
                return self._fresh(self._lexicon.exclamations)
            case "quality":
                return self._fresh(self._lexicon.qualities)
        raise ValueError(f"templates.toml: received a slot {name!r}, expected one of those listed on its top")

    def opener(self) -> str:
        """A sentence that sets the scene."""
        return self._nested(self._fresh(self._topic.intros))

    def statement(self, texts: tuple[str, ...]) -> str:
        """A statement of fact that is not there yet, with its own slots filled."""
        text = self._fresh(texts)
        filled = self._nested(text)
        self.facts.append(filled if filled == text else f"{text}+{filled}")
        return filled

    def _nested(self, text: str) -> str:
        return SLOT.sub(lambda found: self._slot(*found.groups()), text)

    def _fresh(self, items: tuple[str, ...]) -> str:
        left = [item for item in items if item not in self._used]
        if not left:
            raise DeadEnd
        chosen = self._draw.choose(left)
        self._used.add(chosen)
        return chosen

    def _aspect(self, letter: str) -> Aspect:
        if letter not in self._aspects:
            taken = {aspect.noun for aspect in self._aspects.values()} | self._used
            left = [aspect for aspect in self._topic.aspects if aspect.noun not in taken]
            if not left:
                raise DeadEnd
            self._aspects[letter] = self._draw.choose(left)
        self._last = self._aspects[letter].noun
        self._used.add(self._last)
        return self._aspects[letter]

    def _about(self, aspect: Aspect, form: str | None, polarity: str | None) -> str:
        if polarity is None:
            return self._agreeing(aspect)[form or ""]
        meant = self._polarities[polarity]
        if form is None:
            return self._clause(aspect, meant)
        if form == "adjective":
            return self._adjective(aspect, meant, PLAIN, self._template).word
        if form == "general":
            general = self._lexicon.general[meant]
            return self._adjective(aspect, meant, BOTH, self._template, lambda found: found in general).word
        adjective = self._adjective(aspect, meant, BOTH, self._template).word
        if form == "the":
            return f"the {adjective} {aspect.noun}"
        return f"{adjective} {aspect.noun}" if aspect.number else f"{article(adjective)} {adjective} {aspect.noun}"

    def _agreeing(self, aspect: Aspect) -> dict[str, str]:
        """The aspect, and the words that agree with it."""
        plural, present = aspect.plural, self._topic.present
        now, then = ("are", "were") if plural else ("is", "was")
        return {
            "the": f"the {aspect.noun}",
            "it": "they" if plural else "it",
            "them": "them" if plural else "it",
            "is": now,
            "was": now if present else then,
            "was_it": "is" if present else "was",
            "have_been": "be" if present else "have been",
        }

    def _adjective(
        self,
        aspect: Aspect,
        polarity: str,
        strengths: tuple[bool, ...],
        construction: str,
        fitting: Callable[[Adjective], bool] = lambda adjective: True,
    ) -> Adjective:
        left = [
            adjective
            for adjective in aspect.adjectives[polarity]
            if adjective.strong in strengths and adjective.word not in self._used and fitting(adjective)
        ]
        if not left:
            raise DeadEnd
        adjective = self._draw.choose(left)
        self._used.add(adjective.word)
        self.combinations += [f"{aspect.noun}+{adjective.word}", f"{construction}+{adjective.word}"]
        return adjective

    def _clause(self, aspect: Aspect, meant: str) -> str:
        wording, polarity = self._wording(meant)
        degree = self._draw.choose(wording.degrees) if wording.degrees else ""
        similes = self._lexicon.similes.get(wording.simile, {})

        def fitting(adjective: Adjective) -> bool:
            return (not wording.more or adjective.takes_more) and (not wording.simile or adjective.word in similes)

        adjective = self._adjective(aspect, polarity, wording.strengths, degree or wording.name, fitting)
        words = {
            **self._writer,
            **self._agreeing(aspect),
            "adjective": adjective.word,
            "degree": degree.replace("{I}", self._writer["I"]),
            "simile": similes.get(adjective.word, ""),
        }
        return SLOT.sub(lambda found: words[found.group(1)], wording.text)

    def _wording(self, meant: str) -> tuple[Wording, str]:
        while True:
            wording = self._draw.choose(self._lexicon.wordings)
            polarity = wording.adjective_polarity(meant)
            if polarity is not None and wording.text not in self._used:
                if wording.name not in REPEATABLE:
                    self._used.add(wording.text)
                return wording, polarity
