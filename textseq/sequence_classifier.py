"""A class for each sequence or for each token, with whatever layers read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from textseq.errors import InputError
from textseq.layers.initialization import weight_seeds
from textseq.layers.reading import read_through


@keras.saving.register_keras_serializable("textseq")
class SequenceClassifier(keras.Model):
    """Embeds tokens, has layers read them, and scores classes.

    A plain network to compare layers with. All sequences of a batch are equally long: nothing stands for padding. For
    texts, with all that belongs to it, there is the package `classifiers`.

    Args:
        layers: read float[batch, length, columns], one after the other: `Recurrent`, `Convolution`,
            `TransformerEncoder`, or layers of Keras. Of a layer that gives several things, the first goes on.
        classes: how many.
        vocabulary_sizes: how many ids there are; of tokens of several fields, of each field.
        embedding_units: size of an embedded field; those of a token stand side by side.
        every_token: a class for each token; otherwise one for each sequence, scored at its last token.
        seed: of the initial weights of embeddings and scores.

    Raises:
        InputError: no layer, no field, or fewer than two classes.

    Example:
        >>> from textseq.layers.recurrent import Recurrent
        >>> classifier = SequenceClassifier([Recurrent(8)], classes=3, vocabulary_sizes=[10])
        >>> tuple(classifier(keras.ops.ones((4, 6), "int32")).shape)
        (4, 3)
    """

    def __init__(
        self,
        layers: Sequence[keras.layers.Layer],
        classes: int,
        vocabulary_sizes: Sequence[int],
        *,
        embedding_units: int = 24,
        every_token: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not layers or not vocabulary_sizes or classes < 2:
            raise InputError(
                f"sequence classifier: received {len(layers)} layers, {len(vocabulary_sizes)} vocabulary sizes and "
                f"{classes} classes; expected one or more, one or more, and two or more"
            )
        self.reading_layers = list(layers)
        self.classes = classes
        self.vocabulary_sizes = list(vocabulary_sizes)
        self.embedding_units = embedding_units
        self.every_token = every_token
        self.seed = seed
        seeds = weight_seeds(seed)
        self.embeddings = [
            keras.layers.Embedding(
                size,
                embedding_units,
                keras.initializers.RandomNormal(stddev=embedding_units**-0.5, seed=next(seeds)),
                name=f"embedding_{number}",
            )
            for number, size in enumerate(self.vocabulary_sizes)
        ]
        initializer = keras.initializers.GlorotUniform(next(seeds))
        self.output_layer = keras.layers.Dense(classes, kernel_initializer=initializer, name="output")

    def call(self, token_ids: Any, training: bool = False) -> Any:
        """Scores the classes.

        Args:
            token_ids: int32[batch, length], or int32[batch, length, fields].
            training: whether dropout is drawn.

        Returns:
            Logits, float[batch, classes], or with `every_token` float[batch, length, classes].
        """
        fields = [token_ids] if len(token_ids.shape) == 2 else ops.unstack(token_ids, len(self.embeddings), axis=-1)
        embedded = [embedding(ids) for embedding, ids in zip(self.embeddings, fields, strict=True)]
        states = read_through(self.reading_layers, ops.concatenate(embedded, axis=-1), training)
        return self.output_layer(states if self.every_token else states[:, -1])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.reading_layers],
            "classes": self.classes,
            "vocabulary_sizes": self.vocabulary_sizes,
            "embedding_units": self.embedding_units,
            "every_token": self.every_token,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SequenceClassifier:
        """Makes a classifier from what `get_config` gave, with fresh weights."""
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**{**config, "layers": layers})
