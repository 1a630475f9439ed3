"""A bag of n-grams: a weight for each class of every token and every n-gram of tokens.

It is the linear classifier of Joulin et al. 2017 (arXiv:1607.01759, section 2) with a rank as high as the number of
classes. On small corpora it sees single words and pairs more surely than a recurrent network does.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from textseq.layers.dropout import dropout

# FNV-1a, 32 bits (datatracker.ietf.org/doc/html/draft-eastlake-fnv, sections 2 and 5).
_OFFSET, _PRIME = 2166136261, 16777619


@keras.saving.register_keras_serializable("textseq")
class NgramWeights(keras.layers.Layer):
    """What the n-grams of a text add to its logits.

    ```
    logits_c = scale / sqrt(n) * sum_g w_gc        n: n-grams of the text, g: each of them
    ```
    Single tokens have rows of their own; longer n-grams share `buckets` rows by hash. The weights begin at zero.

    Args:
        vocabulary_size: number of tokens.
        classes: number of classes.
        longest: tokens of the longest n-gram, at least 1.
        buckets: rows of all longer n-grams together, a power of two.
        scale: the larger, the sooner the weights of rare n-grams are learned.
        rate: of dropout, of whole n-grams.
        seed: of the dropout.
    """

    def __init__(
        self,
        vocabulary_size: int,
        classes: int,
        longest: int,
        buckets: int,
        *,
        scale: float = 20.0,
        rate: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.classes = classes
        self.longest = longest
        self.buckets = buckets
        self.scale = scale
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Makes the table."""
        rows = self.vocabulary_size + (self.buckets if self.longest > 1 else 0)
        self.table = self.add_weight(name="table", shape=(rows, self.classes), initializer="zeros")
        self.built = True

    def call(self, token_ids: Any, mask: Any, training: bool = False) -> Any:
        """Looks the n-grams up, and gives each of their tokens an equal part of what they add.

        Args:
            token_ids: int32[batch, length], right-padded.
            mask: bool[batch, length], True for a real token.
            training: whether n-grams are dropped.

        Returns:
            float[batch, length, classes], zeros at padding; their sum over the text is what is added to its logits.
        """
        counted = [self._there(mask, tokens) for tokens in range(1, self.longest + 1)]
        number = sum(ops.sum(ops.cast(there, "float32"), axis=1) for there in counted)
        scale = ops.reshape(self.scale / ops.sqrt(ops.maximum(number, 1.0)), (-1, 1, 1))
        added: Any = 0.0
        for tokens, there in enumerate(counted, start=1):
            weights = ops.take(self.table, self._rows(token_ids, tokens), axis=0)
            kept = dropout(ops.cast(there, weights.dtype), self.rate, self.seed_generator, training)
            part = weights * ops.expand_dims(kept, -1) / tokens
            for place in range(tokens):
                added = added + _shifted(part, -place)
        return added * scale

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = ("vocabulary_size", "classes", "longest", "buckets", "scale", "rate", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _there(self, mask: Any, tokens: int) -> Any:
        """bool[batch, length], whether an n-gram of so many tokens begins at a place."""
        there = mask
        for place in range(1, tokens):
            there = ops.logical_and(there, _shifted(mask, place))
        return there

    def _rows(self, token_ids: Any, tokens: int) -> Any:
        """int32[batch, length], the table's row of the n-gram that begins at a place."""
        if tokens == 1:
            return token_ids
        ids = ops.cast(token_ids, "uint32")
        code = ops.full_like(ids, _OFFSET)
        for place in range(tokens):
            code = ops.bitwise_xor(code, _shifted(ids, place)) * ops.cast(_PRIME, "uint32")
        # The lower bits alone would be the weaker ones.
        code = ops.bitwise_and(ops.bitwise_xor(code, ops.right_shift(code, 16)), self.buckets - 1)
        return self.vocabulary_size + ops.cast(code, "int32")


def _shifted(values: Any, places: int) -> Any:
    """Moves [batch, length, ...] to the left by some places, to the right if negative, and fills up with zeros."""
    if places == 0:
        return values
    length = ops.shape(values)[1]
    rest = ((0, 0),) * (len(values.shape) - 2)
    wider = ops.pad(values, ((0, 0), (max(-places, 0), max(places, 0)), *rest))
    return wider[:, places:] if places > 0 else wider[:, :length]
