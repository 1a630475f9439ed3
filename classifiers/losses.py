"""The loss of a text: softmax over one label, or a sigmoid for each of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

# Below this the focal factor stays as it is: the slope of `x ** gamma` at 0 is infinite for gamma below 1.
_LEAST_ERROR = 1e-7


def classification_loss(
    logits: Any,
    targets: Any,
    *,
    multi_label: bool = False,
    smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
) -> tuple[Any, Any]:
    """Cross-entropy of each text, weighed and smoothed as asked for.

    With `p_y` the softmax of the true label `y` of `C`, and `q` the label with `e` of its mass given to all labels
    (Szegedy et al. 2016, section 7), the loss of a text is

    ```
    w_y (1 - p_y)^gamma (-sum_k q_k log p_k)      q_k = (1 - e) [k = y] + e / C
    ```
    With `multi_label` each label is a question of its own, with the two answers' probabilities `p` and `1 - p` from a
    sigmoid, and the loss of a text is the mean of the questions' losses; `w_k` counts where the text has label `k`. The
    focal factor is that of Lin et al. 2017 (arXiv:1708.02002), equation 4; gradients flow through it.

    Args:
        logits: float[batch, classes].
        targets: int32[batch, classes], 1 for a label that the text has; without `multi_label` exactly one a row.
        multi_label: a text can have several labels, or none.
        smoothing: `e`, in [0, 1).
        class_weights: `w`, a weight for each label; None for ones.
        focal_gamma: `gamma`; 0 for no focal factor.

    Returns:
        The objective and the plain cross-entropy of each text, in nats, float[batch] each. No gradient flows through
        the plain one.
    """
    targets = ops.cast(targets, logits.dtype)
    weights = None if class_weights is None else ops.convert_to_tensor(class_weights, logits.dtype)
    if multi_label:
        log_present, log_absent = -ops.softplus(-logits), -ops.softplus(logits)
        log_right = targets * log_present + (1 - targets) * log_absent
        mass = (1 - smoothing) * targets + smoothing / 2
        smoothed = -(mass * log_present + (1 - mass) * log_absent)
        weight = 1.0 if weights is None else 1 + targets * (weights - 1)
        objective = ops.mean(weight * _focal(smoothed, log_right, focal_gamma), axis=-1)
        return objective, ops.stop_gradient(-ops.mean(log_right, axis=-1))
    log_probabilities = ops.log_softmax(logits, axis=-1)
    log_right = ops.sum(targets * log_probabilities, axis=-1)
    smoothed = -(1 - smoothing) * log_right - smoothing * ops.mean(log_probabilities, axis=-1)
    weight = 1.0 if weights is None else ops.sum(targets * weights, axis=-1)
    return weight * _focal(smoothed, log_right, focal_gamma), ops.stop_gradient(-log_right)


def balanced_weights(counts: Sequence[int], texts: int, *, multi_label: bool = False) -> tuple[float, ...]:
    """Weights under which every label counts the same in the training text.

    Args:
        counts: texts that have each label, one at least.
        texts: number of texts.
        multi_label: a text can have several labels, or none: then a label's present cases weigh as much together as
            its absent ones.

    Returns:
        A weight for each label.

    Example:
        >>> balanced_weights([30, 10], 40)
        (0.6666666666666666, 2.0)
        >>> balanced_weights([30, 10], 40, multi_label=True)
        (0.3333333333333333, 3.0)
    """
    if multi_label:
        return tuple(max(texts - count, 1) / max(count, 1) for count in counts)
    return tuple(texts / (len(counts) * max(count, 1)) for count in counts)


def divergence(from_logits: Any, to_logits: Any, *, multi_label: bool = False) -> Any:
    """`KL[p || q]` of two answers to the same texts.

    Args:
        from_logits: float[batch, classes], the logits that give `p`.
        to_logits: float[batch, classes], those that give `q`.
        multi_label: `p` and `q` are sigmoids, one for each label, and the result is the mean over the labels.

    Returns:
        float[batch], in nats.
    """
    if multi_label:
        present, absent = ops.sigmoid(from_logits), ops.sigmoid(-from_logits)
        terms = present * (ops.softplus(-to_logits) - ops.softplus(-from_logits))
        terms = terms + absent * (ops.softplus(to_logits) - ops.softplus(from_logits))
        return ops.mean(terms, axis=-1)
    log_p, log_q = ops.log_softmax(from_logits, axis=-1), ops.log_softmax(to_logits, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def _focal(loss: Any, log_right: Any, gamma: float) -> Any:
    """The loss times `(1 - p)^gamma`, with `p` the probability of what is right."""
    if not gamma:
        return loss
    return loss * ops.power(ops.maximum(-ops.expm1(log_right), _LEAST_ERROR), gamma)
