"""Composes reviews: an opener, one or two patterns of the same label, a statement of fact."""

from __future__ import annotations

from dataclasses import dataclass

from classifiers.reviews.lexicon import NEGATIVE, POSITIVE, Lexicon, Topic, load_lexicon, read_data
from classifiers.reviews.scene import DeadEnd, Scene
from textseq.composed_corpus import with_capitals
from textseq.draw import Draw

NEUTRAL = "neutral"
LABELS = (NEGATIVE, NEUTRAL, POSITIVE)
# Chances in a hundred.
OPENER, SECOND_PATTERN, FACT = 25, 30, 20


@dataclass(frozen=True, slots=True)
class Review:
    """A composed review.

    Attributes:
        combinations: the pairs of words that its label rests on, such as "soup+bland" and "not at all+bland".
        facts: the statements of fact in it, with what was filled in.
    """

    text: str
    label: str
    templates: tuple[str, ...]
    combinations: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A pattern; see templates.toml."""

    name: str
    labels: tuple[str, ...]
    tried: bool
    without: tuple[str, ...]
    texts: tuple[str, ...]


class Grammar:
    """All templates over one lexicon.

    Example:
        >>> Grammar().review(Draw(1, 1)).label  # the review is None where the words drawn do not go together
        'neutral'
    """

    def __init__(self, lexicon: Lexicon | None = None) -> None:
        """Reads the templates, and the lexicon where none is given."""
        self.lexicon = lexicon or load_lexicon()
        self._weighted: dict[str, list[Template]] = {label: [] for label in LABELS}
        for row in read_data("templates.toml")["template"]:
            labels = (NEGATIVE, POSITIVE) if row["label"] == "opinion" else (row["label"],)
            template = Template(
                row["name"], labels, row.get("tried", True), tuple(row.get("without", ())), tuple(row["texts"])
            )
            for label in labels:
                self._weighted[label] += [template] * row["weight"]

    def review(self, draw: Draw) -> Review | None:
        """A review, or None where the drawn words do not go together."""
        label = draw.choose(LABELS)
        topic = draw.choose(self.lexicon.topics)
        patterns = [draw.choose(self._weighted[label])]
        if draw.percent(SECOND_PATTERN):
            patterns.append(draw.choose(self._weighted[label]))
        if not _fit_together(patterns, topic):
            return None
        scene = Scene(self.lexicon, draw, topic, label)
        try:
            sentences = [scene.fill(pattern.name, draw.choose(pattern.texts)) for pattern in patterns]
            if patterns[0].tried and draw.percent(OPENER):
                sentences.insert(0, scene.opener())
            if draw.percent(FACT):
                sentences.append(scene.statement(topic.facts))
        except DeadEnd:
            return None
        return Review(
            text=with_capitals(" ".join(sentences)),
            label=label,
            templates=tuple(pattern.name for pattern in patterns),
            combinations=tuple(scene.combinations),
            facts=tuple(scene.facts),
        )


def _fit_together(patterns: list[Template], topic: Topic) -> bool:
    return (
        len({pattern.tried for pattern in patterns}) == 1
        and len({pattern.name for pattern in patterns}) == len(patterns)
        and not any(topic.kind in pattern.without for pattern in patterns)
    )
