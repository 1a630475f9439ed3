"""Matrix products: one place that decides their shape and their precision."""

from __future__ import annotations

from typing import Any

from keras import backend, ops


def product(inputs: Any, kernel: Any) -> Any:
    """Multiplies the last axis of `inputs` by a matrix, in the precision of the matrix.

    Leading axes are folded into one, since a batched product against one matrix is many small products on TensorFlow.
    A bfloat16 kernel makes the product in bfloat16, at about twice the rate on processors that have it; all that is
    element-wise stays in the dtype of `inputs`.

    Args:
        inputs: float[..., rows].
        kernel: float[rows, columns].

    Returns:
        float[..., columns], of the dtype of `inputs`.
    """
    shape = ops.shape(inputs)
    flat = inputs if len(shape) == 2 else ops.reshape(inputs, (-1, shape[-1]))
    result = ops.cast(ops.matmul(ops.cast(flat, kernel.dtype), kernel), backend.standardize_dtype(inputs.dtype))
    return result if len(shape) == 2 else ops.reshape(result, (*shape[:-1], kernel.shape[-1]))


def training_kernel(kernel: Any, dtype: str, training: bool) -> Any:
    """A weight matrix in the precision of its products, for `product`.

    Args:
        kernel: float[rows, columns], a variable or a tensor.
        dtype: of the products while training ("float32" or "bfloat16").
        training: False for the dtype in which the weight is stored: search and scores are never rounded.

    Returns:
        float[rows, columns].
    """
    return ops.cast(kernel, dtype) if training else tensor_of(kernel)


def tensor_of(weight: Any) -> Any:
    """The value of a weight, as a tensor that `custom_gradient` takes.

    On TensorFlow `ops.convert_to_tensor` hands a Keras variable back as it is, and outside of a graph
    `tf.custom_gradient` then asks for a gradient that the hand-written backward passes do not have.

    Args:
        weight: a variable or a tensor.

    Returns:
        A tensor of the same shape and dtype.
    """
    return ops.cast(weight, weight.dtype)


def kernel_gradient(inputs: Any, gradients: Any, kernel: Any) -> Any:
    """The gradient of `product` with respect to its kernel, over all rows at once.

    Args:
        inputs: float[..., rows].
        gradients: float[..., columns].
        kernel: float[rows, columns], for its dtype.

    Returns:
        float[rows, columns], of the dtype of `kernel`.
    """
    inputs = ops.cast(ops.reshape(inputs, (-1, inputs.shape[-1])), kernel.dtype)
    gradients = ops.cast(ops.reshape(gradients, (-1, gradients.shape[-1])), kernel.dtype)
    return ops.matmul(ops.transpose(inputs), gradients)
