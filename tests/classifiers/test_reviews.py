"""The reviews: sizes, the splits, the written form, and the labels against rules written by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifiers.reviews import LabelledReview, Reviews, compose, reviews
from classifiers.reviews.grammar import LABELS, Grammar, Review
from classifiers.reviews.lexicon import NEGATIVE, POSITIVE, Lexicon, load_lexicon, read_data
from textseq.draw import Draw
from textseq.errors import OutputError
from textseq.indefinite_article import article

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def corpus() -> Reviews:
    return reviews()


@pytest.fixture(scope="module")
def composed() -> list[Review]:
    return [review for part in compose(1).values() for review in part]


@pytest.fixture(scope="module")
def words() -> Lexicon:
    return load_lexicon()


# The corpus ---------------------------------------------------------------------------------------------------------


def test_sizes_and_balance(corpus: Reviews) -> None:
    for part, size in ((corpus.train, 8_100), (corpus.valid, 600), (corpus.test, 900)):
        assert Counter(review.label for review in part) == dict.fromkeys(LABELS, size // 3)


def test_texts_are_distinct(composed: list[Review]) -> None:
    assert len({review.text.lower() for review in composed}) == len(composed)


def test_held_out_combinations_are_not_in_training() -> None:
    def combinations(review: Review) -> set[str]:
        return {*review.combinations, *(review.facts if review.label == "neutral" else ())}

    splits = {name: [combinations(review) for review in part] for name, part in compose(1).items()}
    trained = set().union(*splits["train"], *(set(review.facts) for review in compose(1)["train"]))
    validated = set().union(*splits["valid"])
    assert all(held - trained - validated for held in splits["test"])
    assert all(held - trained for held in splits["valid"])


def test_every_test_word_is_in_training(corpus: Reviews) -> None:
    def vocabulary(*parts: list[LabelledReview]) -> set[str]:
        return {word.strip(".,:;?!") for part in parts for review in part for word in review.text.split()}

    assert not vocabulary(corpus.valid, corpus.test) - vocabulary(corpus.train)


def test_the_same_seed_gives_the_same_texts_and_another_seed_others(corpus: Reviews) -> None:
    compose.cache_clear()
    assert reviews() == corpus
    assert reviews(2).test != corpus.test


def test_lengths_are_varied(composed: list[Review]) -> None:
    counts = Counter(len(review.text.split()) for review in composed)
    assert set(counts) == set(range(3, 41))
    assert all(counts[length] >= 50 for length in range(4, 30))


def test_every_template_wording_and_word_is_used(composed: list[Review], words: Lexicon) -> None:
    used = Counter(name for review in composed for name in review.templates)
    assert set(used) == {row["name"] for row in read_data("templates.toml")["template"]}
    assert min(used.values()) >= 50
    combinations = {half for review in composed for one in review.combinations for half in one.split("+")}
    names = {name for wording in words.wordings for name in (wording.degrees or (wording.name,))}
    adjectives = {one.word for topic in words.topics for aspect in topic.aspects for one in aspect.adjectives[POSITIVE]}
    nouns = {aspect.noun for topic in words.topics for aspect in topic.aspects}
    assert combinations >= names | adjectives | nouns


def test_opinion_words_stand_on_both_sides(corpus: Reviews, words: Lexicon) -> None:
    counts = {label: Counter[str]() for label in LABELS}
    for review in corpus.train:
        counts[review.label].update(re.findall(r"[\w-]+", review.text.lower()))
    for polarity, other in ((POSITIVE, NEGATIVE), (NEGATIVE, POSITIVE)):
        plain = {
            one.word
            for topic in words.topics
            for aspect in topic.aspects
            for one in aspect.adjectives[polarity]
            if not one.strong
        }
        own, opposite = (sum(counts[label][word] for word in plain) for label in (polarity, other))
        assert 0.6 < own / opposite < 1.6


# The written form ---------------------------------------------------------------------------------------------------


def test_written_form(composed: list[Review]) -> None:
    for text in (review.text for review in composed):
        assert re.fullmatch(r"[A-Z]\S*( \S+)*[.?!]", text), text
        assert not re.search(r"[,.:;?!]{2}|[.?!] [a-z]|\s[,.:;?!]|[{}\t]|\bi\b", text), text
        assert not re.search(r"\b(\w+) \1\b", text, re.IGNORECASE), text


def test_articles(composed: list[Review]) -> None:
    found = [pair for review in composed for pair in re.findall(r"\b([Aa]n?) ([\w-]+)", review.text)]
    assert len(found) > 2_000
    assert all(article(word) == written.lower() for written, word in found)


def test_verbs_agree_with_their_nouns(composed: list[Review], words: Lexicon) -> None:
    plural = {aspect.noun: aspect.plural for topic in words.topics for aspect in topic.aspects}
    nouns = "|".join(sorted(map(re.escape, plural), key=len, reverse=True))
    found = [
        (pair, review.text)
        for review in composed
        for pair in re.findall(rf"\b[Tt]he ({nouns}) (was|were|is|are)\b", review.text)
    ]
    assert len(found) > 3_000
    for (noun, verb), text in found:
        assert plural[noun] == (verb in ("were", "are")), text


def test_one_writer_speaks(composed: list[Review]) -> None:
    for review in composed:
        spoken = set(re.findall(r"\b(I|we|me|us|my|our)\b", re.sub(r"of us|my ", "", review.text)))
        assert not (spoken & {"I", "me"} and spoken & {"we", "us", "our"}), review.text


# The labels against rules written by hand ---------------------------------------------------------------------------

TURNING = re.compile(
    r"\bnot\b|\bnever (?!less than)|\bby no means\b|\bfar from\b|\banything but\b|\bhardly\b|\bin no way\b"
    r"|\bless .* than (?:i|we)|\bnobody could call\b|\bwrong to call\b|\bcannot say\b|\bnothing [\w-]+ about\b"
)
NOT_TURNING = re.compile(
    r"\bcould not (be|have been) more\b|\bnobody could say that .* not\b|\bno denying\b|\bcan(not)? deny\b"
    r"|\bnothing if not\b"
)


class Rules:
    """Says what a clause or a review means, from the lexicon's adjectives and the words around them."""

    def __init__(self, words: Lexicon) -> None:
        self.polarity = {
            adjective.word: polarity
            for topic in words.topics
            for aspect in topic.aspects
            for polarity in (POSITIVE, NEGATIVE)
            for adjective in aspect.adjectives[polarity]
        }
        self.similes = {text: polarity for polarity, row in words.similes.items() for text in row.values()}

    def clause(self, clause: str) -> str:
        simile = re.search(r" as [\w-]+ as (.+)$", clause)
        if simile:
            return self.similes[simile[1]]
        (adjective,) = (word for word in re.findall(r"[\w-]+", clause.lower()) if word in self.polarity)
        turned = TURNING.search(clause.lower()) and not NOT_TURNING.search(clause.lower())
        meant = self.polarity[adjective]
        return {POSITIVE: NEGATIVE, NEGATIVE: POSITIVE}[meant] if turned else meant

    def review(self, text: str) -> str | None:
        """What a review of one sentence says, or None where no rule here speaks of it."""
        sentence = text.rstrip(".!")
        for pattern in (
            r"(?:Although|Even though) .+, (?P<main>.+)",
            r"(?P<main>.+), (?:although|even though) .+",
            r"(?:Despite|In spite of) the [\w-]+ [^,]+, (?P<main>.+)",
            r"(?P<main>.+), despite the .+",
            r".+, (?:but|yet) (?P<main>.+)",
            r".+\. (?:Still|All the same|However), (?P<main>[^.]+)",
        ):
            found = re.fullmatch(pattern, sentence)
            if found:
                return self.clause(found["main"])
        found = re.fullmatch(r".+ not ([\w-]+) but ([\w-]+)|.+ ([\w-]+) rather than [\w-]+", sentence)
        if found:
            return self.polarity[found[2] or found[3]]
        return None


def simple_reviews(composed: list[Review], names: set[str]) -> Iterator[Review]:
    """Those of one template of these and no more than it: without an opener or a fact."""
    for review in composed:
        opinions = sum("+" in one for one in review.combinations) // 2
        if set(review.templates) <= names and len(review.templates) == 1 and not review.facts and opinions <= 2:
            yield review


def test_clauses_mean_what_their_label_says(composed: list[Review], words: Lexicon) -> None:
    rules = Rules(words)
    checked = 0
    for review in simple_reviews(composed, {"plain"}):
        if not re.search(r"[.!] ", review.text):
            assert rules.clause(review.text.rstrip(".!")) == review.label, review
            checked += 1
    assert checked > 80


def test_the_part_that_decides(composed: list[Review], words: Lexicon) -> None:
    rules = Rules(words)
    templates = {"but", "although", "despite", "however", "not this but that"}
    checked: Counter[str] = Counter()
    for review in simple_reviews(composed, templates):
        # With an opener there is a sentence more.
        if len(re.findall(r"[.!]( |$)", review.text)) == 1 + (review.templates == ("however",)):
            meant = rules.review(review.text)
            if meant is not None:
                assert meant == review.label, review
                checked[review.templates[0]] += 1
    assert set(checked) == templates
    assert min(checked.values()) > 40


def test_found_is_what_counts(composed: list[Review], words: Lexicon) -> None:
    polarity = Rules(words).polarity
    checked = 0
    for review in simple_reviews(composed, {"expected", "at first", "used to be"}):
        found = re.search(
            r"found \w+ ([\w-]+)\.$|to be [\w-]+\. (?:It|They) \w+ ([\w-]+)\.$|proved ([\w-]+) in the end\.$"
            r"|[Nn]ow (?:it|they) (?:is|are) ([\w-]+)\.$|later ([\w-]+)\.$",
            review.text,
        )
        if found:
            assert polarity[found[found.lastindex or 0]] == review.label, review
            checked += 1
    assert checked > 150


def test_irony_is_negative_and_joy_positive(composed: list[Review], words: Lexicon) -> None:
    events = {event.removeprefix("a ").removeprefix("an "): polarity for topic in words.topics
              for polarity, row in topic.events.items() for event in row if "{" not in event}  # fmt: skip
    checked: Counter[str] = Counter()
    for review in composed:
        for event, polarity in events.items():
            if event in review.text:
                assert review.label == polarity, review
                checked[polarity] += 1
    assert min(checked[POSITIVE], checked[NEGATIVE]) > 100


def test_neutral_reviews_weigh_both_or_tell_none(composed: list[Review], words: Lexicon) -> None:
    polarity = Rules(words).polarity
    neither = [review for review in composed if review.templates == ("neither of both kinds",)]
    for review in neither:
        said = [polarity[one.split("+")[1]] for one in review.combinations]
        assert set(said) == {POSITIVE, NEGATIVE}, review
    one_kind = [review for review in composed if review.templates == ("neither of one kind",)]
    for review in one_kind:
        (said_once,) = {polarity[one.split("+")[1]] for one in review.combinations}
        assert said_once != review.label, review
    assert min(len(neither), len(one_kind)) > 100


def test_a_template_with_an_unknown_slot_is_named() -> None:
    from classifiers.reviews.scene import Scene

    lexicon = load_lexicon()
    scene = Scene(lexicon, Draw(1, 1), lexicon.topics[0], POSITIVE)
    with pytest.raises(ValueError, match=r"templates.toml: received a slot 'verdikt', expected one of those listed"):
        scene.fill("mine", "{verdikt}")


def test_a_review_is_a_function_of_its_draw() -> None:
    one, other = Grammar(), Grammar()
    assert [one.review(Draw(1, number)) for number in range(200)] == [
        other.review(Draw(1, number)) for number in range(200)
    ]


# What it is for -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_word_counts_alone_do_not_do(corpus: Reviews) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=2000))
    model.fit([review.text for review in corpus.train], [review.label for review in corpus.train])
    said = model.predict([review.text for review in corpus.test])
    assert f1_score([review.label for review in corpus.test], said, average="macro") < 0.85


# Files --------------------------------------------------------------------------------------------------------------


def test_command_writes_the_files(tmp_path: Path, corpus: Reviews) -> None:
    folder = tmp_path / "new" / "data"
    subprocess.run([sys.executable, "-m", "classifiers.reviews", str(folder)], check=True, cwd=ROOT)
    for split in ("train", "valid", "test"):
        lines = (folder / f"{split}.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
        assert [tuple(line.split("\t")) for line in lines] == [
            (review.label, review.text) for review in getattr(corpus, split)
        ]


def test_another_text_is_not_written_over(tmp_path: Path, corpus: Reviews) -> None:
    (tmp_path / "test.tsv").write_text("mine")
    with pytest.raises(
        OutputError, match=r"test\.tsv: holds another text than the corpus of reviews; choose another folder"
    ):
        corpus.write(tmp_path)


def test_import_is_light() -> None:
    code = "import sys, classifiers.reviews; print([m for m in ('tensorflow', 'numpy', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n"
