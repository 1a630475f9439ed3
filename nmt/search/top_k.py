"""The largest values of a vocabulary, faster than by looking at each."""

from __future__ import annotations

from keras import ops

from nmt.search.interface import Tensor
from nmt.search.loop import take_beams

_CHUNK_SIZES = (32, 24, 40, 48, 16)  # whole vectors of every usual processor; the best first


def top_k(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Returns the k largest values and their indices, largest first, equal ones by the lower index.

    It is `ops.top_k`, which costs as much as the output layer on a CPU. Here the vocabulary is cut into chunks:
    the k largest values lie in the k chunks with the largest maxima (of equal ones, the first), so that only the maxima
    and the values of these chunks need to be ranked.

    Args:
        values: float[batch, beam, vocabulary], without NaN; the vocabulary's size must be known when traced.
        k: at most the vocabulary's size.

    Returns:
        values float[batch, beam, k], indices int32[batch, beam, k].
    """
    beam, vocabulary = values.shape[1], values.shape[2]
    size = next((size for size in _CHUNK_SIZES if vocabulary % size == 0), _CHUNK_SIZES[0])
    if 4 * k * size > vocabulary:
        return ops.top_k(values, k)
    if vocabulary % size:
        values = ops.pad(values, ((0, 0), (0, 0), (0, -vocabulary % size)), constant_values=float("-inf"))
    # [batch, beam, vocabulary] -> [batch * beam, chunks, size]
    chunks = ops.reshape(values, (-1, -(-vocabulary // size), size))
    _, best_chunks = ops.top_k(ops.max(chunks, axis=2), k)
    # In the order of the vocabulary, so that the lower of equal values comes first below too.
    best_chunks = ops.sort(best_chunks, axis=1)
    # [batch * beam, k, size] -> [batch * beam, k * size]
    best, places = ops.top_k(ops.reshape(take_beams(chunks, best_chunks), (-1, k * size)), k)
    ids = take_beams(best_chunks, places // size) * size + places % size
    # The filling of the last chunk is chosen where nothing else is possible; its ids must not leave the vocabulary.
    ids = ops.minimum(ids, vocabulary - 1)
    return ops.reshape(best, (-1, beam, k)), ops.reshape(ids, (-1, beam, k))
