"""Adversarial and virtual adversarial training on embedded text, Miyato, Dai, Goodfellow 2017 (arXiv:1605.07725).

With `s` the embedded tokens of a text side by side, and a hat on weights that are held constant:

```
adversarial (section 3, equations 1 and 2)     g = grad_s L(y, s; ^)         r = e g / |g|      loss L(y, s + r)
virtual (equations 3 and 4)                    g = grad_d KL[p(s; ^) || p(s + d; ^)]   r = e g / |g|
                                               loss KL[p(s; ^) || p(s + r)]
```
One norm is taken over all real tokens of a text. The paper gives every embedding mean 0 and variance 1 before; here
the embeddings stay as they are, and `e` is in units of their standard deviation.

The direction is sought without dropout behind the embedding, and so are the network's own answers `p(s; ^)`, which the
virtual loss holds the perturbed reading against; `s` itself has the dropout of words and embeddings of this step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from classifiers.losses import divergence
from textseq.input_gradient import input_gradient

Read = Callable[[Any, bool], Any]
"""Embedded tokens float[batch, length, units], and whether dropout is drawn -> logits float[batch, classes]."""

# Where the virtual loss takes its slope, in the units of the perturbation's size: the slope at 0 is 0. The paper's
# step is smaller, but products in bfloat16 would drown it.
_STEP = 0.1


def adversarial_loss(read: Read, embedded: Any, token_mask: Any, loss: Callable[[Any], Any], *, size: Any) -> Any:
    """The loss of texts that are perturbed in the direction in which it grows most.

    Args:
        read: the network behind the embedding.
        embedded: float[batch, length, units]; the loss's gradient flows into it.
        token_mask: bool[batch, length], True for a real token.
        loss: logits -> float[batch], against the labels.
        size: float[], the norm of the perturbation of one text.

    Returns:
        float[batch].
    """
    gradient = input_gradient(lambda place: ops.sum(loss(read(place, False))), embedded)
    return loss(read(embedded + perturbation(gradient, token_mask, size), True))


def virtual_adversarial_loss(
    read: Read,
    embedded: Any,
    token_mask: Any,
    seed: keras.random.SeedGenerator,
    *,
    size: Any,
    multi_label: bool = False,
) -> Any:
    """How far the network's answers move where texts are perturbed in the direction in which they move most.

    Args:
        read: the network behind the embedding.
        embedded: float[batch, length, units]; the loss's gradient flows into it.
        token_mask: bool[batch, length], True for a real token.
        seed: of the random direction that the search begins with.
        size: float[], the norm of the perturbation of one text.
        multi_label: see `divergence`.

    Returns:
        float[batch].
    """
    answer = ops.stop_gradient(read(ops.stop_gradient(embedded), False))
    start = keras.random.normal(ops.shape(embedded), dtype=embedded.dtype, seed=seed)
    place = ops.stop_gradient(embedded) + perturbation(start, token_mask, _STEP * size)
    gradient = input_gradient(
        lambda place: ops.sum(divergence(answer, read(place, False), multi_label=multi_label)), place
    )
    perturbed = read(embedded + perturbation(gradient, token_mask, size), True)
    return divergence(answer, perturbed, multi_label=multi_label)


def perturbation(direction: Any, token_mask: Any, size: Any) -> Any:
    """A direction as a step of a given length.

    Args:
        direction: float[batch, length, units].
        token_mask: bool[batch, length], True for a real token.
        size: float[], the norm over all real tokens of one text.

    Returns:
        float[batch, length, units], zeros at padding, and where a text's direction is zero. No gradient flows through.
    """
    direction = ops.where(ops.expand_dims(token_mask, -1), direction, ops.zeros_like(direction))
    # By the largest value first: gradients may be so small that their squares vanish.
    largest = ops.max(ops.abs(direction), axis=(1, 2), keepdims=True)
    direction = direction / ops.maximum(largest, _smallest(direction))
    norm = ops.sqrt(ops.sum(direction * direction, axis=(1, 2), keepdims=True))
    return ops.stop_gradient(size * direction / ops.maximum(norm, _smallest(direction)))


def embedding_deviation(embeddings: Any) -> Any:
    """The standard deviation of embeddings around their mean, every token of the vocabulary counting the same.

    Args:
        embeddings: float[vocabulary, units].

    Returns:
        float[]. No gradient flows through.
    """
    centred = embeddings - ops.mean(embeddings, axis=0)
    return ops.stop_gradient(ops.sqrt(ops.mean(centred * centred)))


def _smallest(array: Any) -> float:
    """The smallest normal number of an array's dtype, far from underflow in a quotient."""
    return 1e-30 if keras.backend.standardize_dtype(array.dtype) in ("float32", "float64") else 1e-4
