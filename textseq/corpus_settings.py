"""The section [corpus] of every task: which files hold its text."""

from __future__ import annotations

from textseq.configuration import Configuration


class CorpusSettings(Configuration):
    """Base of a section whose text files are its fields without a default."""

    @classmethod
    def text_keys(cls) -> tuple[str, ...]:
        """The keys that say where text lies; the others say how it is read."""
        return tuple(key for key, field in cls.model_fields.items() if field.default is None)

    @property
    def files(self) -> dict[str, str]:
        """The files and folders that are named, by their key here."""
        named = {key: getattr(self, key) for key in self.text_keys()}
        return {key: path for key, path in named.items() if path is not None}
