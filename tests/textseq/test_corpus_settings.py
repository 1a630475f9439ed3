"""Which files a section [corpus] names."""

from __future__ import annotations

from pydantic import Field

from textseq.corpus_settings import CorpusSettings


class Corpus(CorpusSettings):
    """Texts."""

    train: str | None = Field(None, description="Text.")
    separator: str = Field(",", description="How it is read.")
    valid: str | None = Field(None, description="Text.")


def test_files_are_those_that_are_named() -> None:
    assert Corpus().files == {}
    assert Corpus(valid="b", separator=";").files == {"valid": "b"}
    assert list(Corpus(valid="b", train="a").files.items()) == [("train", "a"), ("valid", "b")]


def test_how_text_is_read_is_no_file() -> None:
    assert Corpus.text_keys() == ("train", "valid")
