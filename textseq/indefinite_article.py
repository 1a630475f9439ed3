"""The English indefinite article."""

from __future__ import annotations

# Written with a vowel, spoken with the sound of "you" or "w".
_CONSONANT_SOUNDS = ("use", "uniq", "unit", "univ", "unif", "union", "one", "once", "eu")


def article(following: str) -> str:
    """The indefinite article, by the first sound of the next word.

    Example:
        >>> [article(word) for word in ("apple", "useful", "uninspired", "hour")]
        ['an', 'a', 'an', 'an']
    """
    word = following.lower()
    if word.startswith(("hour", "honest", "honour")):
        return "an"
    return "an" if word[:1] in tuple("aeiou") and not word.startswith(_CONSONANT_SOUNDS) else "a"
