"""The phrasebook: sizes, the splits, the mapping, and the grammar against sentences written by hand."""

# The tables of known sentences read best with one sentence a line.
# ruff: noqa: E501

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from nmt.phrasebook import Phrasebook, PhrasePair, compose, phrasebook
from nmt.phrasebook.clause import Clause, Verb
from nmt.phrasebook.german import GermanNoun, after_preposition, noun_phrase, weak_past
from nmt.phrasebook.grammar import Grammar
from nmt.phrasebook.lexicon import Lexicon, load_lexicon, read_data
from nmt.phrasebook.nouns import pronoun_phrase
from nmt.phrasebook.phrases import Noun, NounPhrase, Phrase
from textseq.draw import Draw
from textseq.errors import OutputError


@pytest.fixture(scope="module")
def book() -> Phrasebook:
    return phrasebook()


@pytest.fixture(scope="module")
def pairs(book: Phrasebook) -> list[PhrasePair]:
    return book.train + book.valid + book.test


@pytest.fixture(scope="module")
def words() -> Lexicon:
    return load_lexicon()


# The corpus ---------------------------------------------------------------------------------------------------------


def test_sizes(book: Phrasebook) -> None:
    assert (len(book.train), len(book.valid), len(book.test)) == (22_500, 500, 1_000)


def test_english_sentences_are_distinct(pairs: list[PhrasePair]) -> None:
    assert len({pair.source for pair in pairs}) == len(pairs)


def test_one_english_sentence_has_one_german_sentence() -> None:
    grammar = Grammar()
    found: dict[str, str] = {}
    for number in range(40_000):
        sentence = grammar.sentence(Draw(99, number))
        if sentence:
            assert found.setdefault(sentence.source, sentence.target) == sentence.target, sentence


def test_held_out_combinations_are_not_in_training() -> None:
    splits = compose(1)
    combinations = {name: [set(s.combinations) for s in part] for name, part in splits.items()}
    known = set().union(*combinations["train"], *combinations["valid"])
    assert all(held - known for held in combinations["test"])
    assert all(held - set().union(*combinations["train"]) for held in combinations["valid"])


def test_every_test_word_is_in_training(book: Phrasebook) -> None:
    for side in (0, 1):
        known = {word.strip(".,?!") for pair in book.train for word in pair[side].split()}
        tested = {word.strip(".,?!") for pair in book.test + book.valid for word in pair[side].split()}
        assert not tested - known


def test_the_same_seed_gives_the_same_pairs_and_another_seed_others(book: Phrasebook) -> None:
    compose.cache_clear()
    assert phrasebook() == book
    assert phrasebook(2).test != book.test


def test_written_form(pairs: list[PhrasePair]) -> None:
    for text in (text for pair in pairs for text in pair):
        assert re.fullmatch(r"[A-ZÄÖÜ][^\s]*( [^\s]+)*[.?!]", text), text
        assert not re.search(r"[,.?!]{2}|[.?!] [a-zäöü]|\s[,.?!]", text), text
    for source, target in pairs:
        assert source[-1] == target[-1], (source, target)


def test_lengths_are_varied(pairs: list[PhrasePair]) -> None:
    counts = Counter(len(pair.source.split()) for pair in pairs)
    assert set(range(4, 15)) <= {length for length, count in counts.items() if count >= 50}
    assert set(counts) == set(range(3, 17))


def test_every_template_is_used() -> None:
    used = Counter(sentence.template for sentence in compose(1)["train"])
    assert set(used) == {row["name"] for row in read_data("templates.toml")["template"]}
    assert min(used.values()) >= 20


def test_german_nouns_are_capitalised(pairs: list[PhrasePair], words: Lexicon) -> None:
    nouns = {word for noun in _nouns(words) for word in (noun.german.singular, noun.german.plural) if word}
    verbs = [entry.verb.german for entries in words.verbs.values() for entry in entries]
    looks_like_a_noun = {"junge", "jungen"} | {form for verb in verbs for form in (verb.infinitive, verb.present("1s"))}
    lower = {word.lower() for word in nouns} - looks_like_a_noun
    for pair in pairs:
        assert not lower.intersection(re.findall(r"\w[\w-]*", pair.target)), pair


def _nouns(words: Lexicon) -> list[Noun]:
    return [noun for members in words.nouns.values() for noun in members if isinstance(noun, Noun)]


# Agreement, by a scan that knows only the lexicon ---------------------------------------------------------------------

ALLOWED_GENDERS = {
    # article -> genders and number that some case of it agrees with
    "der": "mfp", "die": "fp", "das": "n", "den": "mp", "dem": "mn", "des": "mn",
    "ein": "mn", "eine": "f", "einen": "m", "einem": "mn", "einer": "f",
    "kein": "mn", "keine": "fp", "keinen": "mp", "keinem": "mn", "keiner": "f",
    "im": "mn", "ins": "n", "am": "mn", "zum": "mn", "zur": "f",
}  # fmt: skip
for stem in ("mein", "dein", "sein", "ihr", "unser"):
    ALLOWED_GENDERS |= {stem: "mn", stem + "e": "fp", stem + "en": "mp", stem + "em": "mn"}


def test_articles_agree_with_their_nouns(pairs: list[PhrasePair], words: Lexicon) -> None:
    genders: dict[str, set[str]] = {}
    for noun in _nouns(words):
        german = noun.german
        if german.gender:
            genders.setdefault(german.singular, set()).add(german.gender)
            for form in (german.plural, german.plural + "n"):
                genders.setdefault(form, set()).add("p")
            if german.weak:
                genders[german.plural].add(german.gender)
    checked = 0
    for pair in pairs:
        tokens = re.findall(r"[\wäöüß-]+|[,.?!]", pair.target)
        for before, article, noun in zip(["", *tokens], tokens, tokens[1:], strict=False):
            # After a comma it is a relative pronoun.
            if article in ALLOWED_GENDERS and noun in genders and before not in (",", "auf"):
                assert genders[noun] & set(ALLOWED_GENDERS[article]), pair
                checked += 1
    assert checked > 10_000


def test_perfect_has_an_auxiliary(pairs: list[PhrasePair], words: Lexicon) -> None:
    verbs = [entry.verb.german for entries in words.verbs.values() for entry in entries]
    participles = {verb.participle for verb in verbs} - {
        form for verb in verbs for form in (verb.third, verb.particle + verb.third, verb.infinitive)
    }
    auxiliaries = re.compile(r"\b(habe|hast|hat|haben|bin|bist|ist|sind)\b", re.IGNORECASE)
    for pair in pairs:
        if participles.intersection(re.findall(r"\w+", pair.target)):
            assert auxiliaries.search(pair.target), pair


# The grammar against sentences written by hand ------------------------------------------------------------------------


def verb(words: Lexicon, name: str) -> Verb:
    return words.verbs[name][0].verb


def noun(
    words: Lexicon, lemma: str, determiner: str = "the", *, plural: bool = False, adjective: str = ""
) -> NounPhrase:
    found = next(noun for noun in _nouns(words) if noun.lemma == lemma)
    human = found.meaning in ("family", "acquaintance", "people")
    gender = "p" if plural else found.german.gender
    german = words.numbers.get(determiner, determiner)
    described = words.adjectives[adjective] if adjective else None
    return NounPhrase(lemma, found, determiner, german, plural, described, None, "", gender, human)


def name(text: str, gender: str = "f") -> NounPhrase:
    return NounPhrase(text, gender=gender, human=True)


YESTERDAY, TOMORROW = Phrase("yesterday", "gestern"), Phrase("tomorrow", "morgen")


def clauses(words: Lexicon) -> list[tuple[Clause, str, str, str, str]]:
    """Clause, English form, English, German form, German."""
    i, you, he, they = (pronoun_phrase(word) for word in ("I", "you", "he", "they"))
    father, anna = noun(words, "father", "my"), name("Anna")
    garden, bed = (words.places[key][0] for key in ("the garden", "bed"))

    def clause(subject: NounPhrase, verb_name: str, tense: str, **parts: object) -> Clause:
        return Clause(subject, verb(words, verb_name), tense, **parts)  # type: ignore[arg-type]

    red_coat, apple = noun(words, "coat", "a", adjective="red"), noun(words, "apple", "a")
    letter = noun(words, "letter")
    return [
        (clause(anna, "read", "progressive", object=letter), "", "Anna is reading the letter", "", "Anna liest den Brief"),
        (clause(he, "buy", "past", object=red_coat), "", "he bought a red coat", "", "er hat einen roten Mantel gekauft"),
        (clause(you, "eat", "progressive", object=apple, negated=True), "", "you are not eating an apple", "", "du isst keinen Apfel"),
        (clause(father, "call", "progressive", object=anna), "", "my father is calling Anna", "", "mein Vater ruft Anna an"),
        (clause(father, "call", "past", object=anna), "", "my father called Anna", "final", "mein Vater Anna angerufen hat"),
        (clause(father, "call", "progressive", object=anna), "", "my father is calling Anna", "final", "mein Vater Anna anruft"),
        (clause(father, "call", "want", object=anna), "", "my father wants to call Anna", "", "mein Vater will Anna anrufen"),
        (clause(father, "call", "future", object=anna), "infinitive", "call Anna", "zu", "Anna anzurufen"),
        (clause(i, "get_up", "must", negated=True), "", "I must not get up", "", "ich darf nicht aufstehen"),
        (clause(i, "get_up", "have to", negated=True), "", "I do not have to get up", "", "ich muss nicht aufstehen"),
        (clause(you, "get_up", "past", time=YESTERDAY), "question", "did you get up yesterday", "question", "bist du gestern aufgestanden"),
        (clause(they, "help", "progressive", object=noun(words, "student")), "", "they are helping the student", "", "sie helfen dem Studenten"),
        (clause(i, "wait_for", "progressive", object=noun(words, "bus"), negated=True), "", "I am not waiting for the bus", "", "ich warte nicht auf den Bus"),
        (clause(he, "read", "past", object=letter, time=YESTERDAY, negated=True), "", "he did not read the letter yesterday", "", "er hat den Brief gestern nicht gelesen"),
        (clause(i, "give", "future", recipient=noun(words, "brother", "my"), object=noun(words, "book")), "", "I will give my brother the book", "", "ich werde meinem Bruder das Buch geben"),
        (clause(i, "explain", "progressive", recipient=anna, object=noun(words, "word")), "", "I am explaining the word to Anna", "", "ich erkläre Anna das Wort"),
        (clause(father, "rest", "past", time=YESTERDAY, front=True), "", "yesterday my father rested", "", "gestern hat sich mein Vater ausgeruht"),
        (clause(i, "rest", "progressive"), "", "I am resting", "final", "ich mich ausruhe"),
        (clause(they, "go", "past", direction=bed.to()), "", "they went to bed", "", "sie sind ins Bett gegangen"),
        (clause(they, "sleep", "progressive", place=garden.at(), negated=True), "", "they are not sleeping in the garden", "", "sie schlafen nicht im Garten"),
        (clause(anna, "hungry", "present", negated=True), "", "Anna is not hungry", "final", "Anna keinen Hunger hat"),
        (clause(you, "close", "future", object=noun(words, "door")), "imperative", "close the door", "imperative", "mach die Tür zu"),
        (clause(you, "read", "future", object=letter, negated=True), "imperative", "do not read the letter", "imperative", "lies den Brief nicht"),
        (clause(anna, "travel", "progressive", direction=words.places["Berlin"][0].to(), time=TOMORROW, manner=Phrase("by train", "mit dem Zug")), "", "Anna is travelling to Berlin by train tomorrow", "", "Anna reist morgen mit dem Zug nach Berlin"),
        (clause(anna, "walk", "future"), "infinitive", "go for a walk", "zu", "spazieren zu gehen"),
        (clause(i, "like", "present", object=noun(words, "orange", "", plural=True)), "", "I like oranges", "", "ich mag Orangen"),
        (clause(he, "drink", "like to", object=noun(words, "tea", "")), "", "he likes to drink tea", "", "er trinkt gern Tee"),
        (clause(he, "look_forward", "past", object=noun(words, "party")), "", "he looked forward to the party", "", "er hat sich auf die Party gefreut"),
        (clause(you, "dream_of", "present", object=noun(words, "boat", "a")), "question", "do you dream of a boat", "question", "träumst du von einem Boot"),
        (clause(they, "have", "past", object=noun(words, "car", "a"), negated=True), "", "they did not have a car", "", "sie hatten kein Auto"),
    ]  # fmt: skip


def test_clauses_known_to_be_right(words: Lexicon) -> None:
    for clause, english_form, english, german_form, german in clauses(words):
        assert (clause.english(english_form), clause.german(german_form)) == (english, german)


def test_noun_phrases_known_to_be_right(words: Lexicon) -> None:
    anna, brother = name("Anna"), noun(words, "brother", "my")
    car = noun(words, "car")
    known = [
        (noun(words, "boy", "this", adjective="young"), "accusative", "diesen jungen Jungen"),
        (noun(words, "child", "the", plural=True), "dative", "den Kindern"),
        (noun(words, "milk", "", adjective="fresh"), "accusative", "frische Milch"),
        (noun(words, "bread", "", adjective="fresh"), "nominative", "frisches Brot"),
        (noun(words, "flower", "three", plural=True, adjective="red"), "accusative", "drei rote Blumen"),
        (noun(words, "house", "our", adjective="big"), "nominative", "unser großes Haus"),
        (noun(words, "watch", "which"), "accusative", "welche Uhr"),
        (noun(words, "doctor", "the"), "genitive", "des Arztes"),
        (noun(words, "book", "many", plural=True, adjective="new"), "dative", "vielen neuen Büchern"),
        (noun(words, "dress", "a", adjective="expensive"), "nominative", "ein teures Kleid"),
        (NounPhrase("car", car.noun, "the", "the", possessor=brother), "nominative", "das Auto meines Bruders"),
        (NounPhrase("car", car.noun, "the", "the", possessor=anna), "nominative", "Annas Auto"),
        (car, "relative accusative", "das"),
        (noun(words, "key"), "pronoun accusative", "ihn"),
    ]
    for phrase, case, german in known:
        assert phrase.german(case) == german
    assert NounPhrase("car", car.noun, "the", "the", possessor=brother).english() == "my brother's car"
    assert noun(words, "apple", "a").english() == "an apple"
    assert noun(words, "key").english("pronoun") == "it"


KNOWN_PAIRS = [
    ("{a} because {b}", "not because of no time", r"cannot .* because .* not have time", r"k[aö]nn\w* .*\b(nicht|keine?n?|keinem)\b .*, weil .* keine Zeit \w+\.$"),
    ("", "infinitive with zu", r" forgot to turn off ", r"hab?e?n?s?t? vergessen, .* auszuschalten\.$"),
    ("", "if it rains", r"^If it rains, ", r"^Wenn es regnet, (werd|wird|wirst|will|woll)"),
    ("", "in order to buy", r" to buy ", r", um .* zu kaufen\.$"),
    ("", "which", r"^Which \w+ is ", r"^Welche[ns]? "),
]  # fmt: skip


@pytest.mark.parametrize(("template", "source", "target"), [row[1:] for row in KNOWN_PAIRS])
def test_templates_give_the_expected_german(template: str, source: str, target: str) -> None:
    found = [s for s in compose(1)["train"] if s.template == template and re.search(source, s.source)]
    assert found
    for sentence in found:
        assert re.search(target, sentence.target), sentence


def test_verb_forms(words: Lexicon) -> None:
    known = {
        ("read", "2s"): "liest", ("work", "2s"): "arbeitest", ("invite", "2s"): "lädst", ("drive", "2s"): "fährst",
        ("carry", "3s"): "trägt", ("feed", "1s"): "füttere", ("like", "1s"): "mag", ("know", "2s"): "weißt",
        ("have", "2s"): "hast", ("be", "1s"): "bin", ("clean", "2s"): "putzt", ("take_care", "3p"): "kümmern",
    }  # fmt: skip
    for (entry, person), form in known.items():
        assert verb(words, entry).german.present(person) == form
    assert [weak_past("hatte", person) for person in ("1s", "2s", "3p")] == ["hatte", "hattest", "hatten"]
    assert [weak_past("war", person) for person in ("1s", "2s", "3p")] == ["war", "warst", "waren"]
    assert verb(words, "travel").english.past("3s") == "travelled"
    assert verb(words, "try").english.past("3s") == "tried"


def test_declension_tables_are_complete() -> None:
    noun = GermanNoun("Tisch", "Tische", "m")
    determiners = ("the", "a", "no", "my", "this", "which", "")
    phrases = {
        (case, word): noun_phrase(noun, case, plural=False, determiner=word, adjective="neu")
        for case, word in product(("nominative", "accusative", "dative", "genitive"), determiners)
    }
    assert phrases["nominative", "the"] == "der neue Tisch"
    assert phrases["nominative", "my"] == "mein neuer Tisch"
    assert phrases["dative", "which"] == "welchem neuen Tisch"
    assert phrases["accusative", ""] == "neuen Tisch"
    assert phrases["genitive", "no"] == "keines neuen Tisches"


def test_contractions() -> None:
    assert after_preposition("in", "dem Garten") == "im Garten"
    assert after_preposition("zu", "der Arbeit") == "zur Arbeit"
    assert after_preposition("auf", "das Bett") == "auf das Bett"


# Files --------------------------------------------------------------------------------------------------------------


def test_command_writes_aligned_files(tmp_path: Path, book: Phrasebook) -> None:
    subprocess.run([sys.executable, "-m", "nmt.phrasebook", str(tmp_path / "new" / "data")], check=True)
    for split in ("train", "valid", "test"):
        sides = [(tmp_path / "new" / "data" / f"{split}.{side}").read_text(encoding="utf-8") for side in ("en", "de")]
        lines = list(zip(*(side.removesuffix("\n").split("\n") for side in sides), strict=True))
        assert lines == [tuple(pair) for pair in getattr(book, split)]


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path, book: Phrasebook) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(
        OutputError, match="taken: a file stands where a folder is expected; move it or choose another place"
    ):
        book.write(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_import_is_light() -> None:
    code = "import sys, nmt.phrasebook; print([m for m in ('tensorflow', 'numpy', 'keras') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
