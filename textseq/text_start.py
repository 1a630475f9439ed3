"""The start of a text that is too long to be tokenized whole.

A tokenizer takes some hundred bytes of memory for each byte of a text, and seconds for megabytes, also where a model
reads only its first tokens. So a text is cut at a ceiling in bytes first, here and in every exported graph
(`textseq.graph_tokenization.text_starts`) at the same place.
"""

from __future__ import annotations


def text_start(text: str, most_bytes: int) -> str:
    """The first characters of a text, as many as have their place in so many bytes of UTF-8.

    Args:
        text: without lone surrogates.
        most_bytes: of the start.

    Returns:
        The text itself where it fits.

    Example:
        >>> text_start("größer", 4), text_start("größer", 3)
        ('grö', 'gr')
    """
    if 4 * len(text) <= most_bytes:
        return text
    # A character has one byte or more: these hold all that have their place.
    start = text[: most_bytes + 1].encode()
    return text if len(start) <= most_bytes else start[:most_bytes].decode("utf-8", "ignore")
