"""What REST and gRPC share: from a request for a model to the outputs, or a refusal in TensorFlow Serving's words."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np

from textseq.serving.batcher import unknown
from textseq.serving.exported_signatures import DEFAULT_SIGNATURE
from textseq.serving.limits import Limits
from textseq.serving.metrics import Metrics
from textseq.serving.model_store import ModelStore, Served, VersionStatus
from textseq.serving.predict_format import type_name
from textseq.serving.refusal import Code, Refusal, invalid, refusal_of

logger = logging.getLogger("textseq.serving")

PREDICT_METHOD = "tensorflow/serving/predict"

QUICK_BYTES = 1 << 16
"""What has more is read and written beside the event loop."""

_LARGEST_VERSION = (1 << 63) - 1
_MOST_NAMES = 100  # that a message lists

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Asked:
    """Which model a request is for.

    Attributes:
        name: the model's.
        version: None for whichever is served.
        label: of a version; no version here has one.
    """

    name: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Answer:
    """Outputs, and who gave them.

    Attributes:
        version: the model's.
        signature: its name.
        outputs: arrays by name, the batch first.
    """

    version: int
    signature: str
    outputs: Mapping[str, np.ndarray]


class Predictor:
    """Answers requests from the versions of one model.

    Args:
        store: the versions.
        limits: see `Limits`.
        metrics: where requests are counted.

    Attributes:
        stopping: set at the beginning of a shutdown; from then on everything is refused as UNAVAILABLE.
    """

    def __init__(self, store: ModelStore, limits: Limits, metrics: Metrics) -> None:
        self.store = store
        self.limits = limits
        self.metrics = metrics
        self.stopping = False
        self._held = 0

    @contextmanager
    def lease(self, asked: Asked) -> Iterator[Served]:
        """Lends the version that was asked for.

        Raises:
            Refusal: there is none, or the server is shutting down.
        """
        self._check(asked)
        if asked.name != self.store.name:
            wanted = f"Latest({asked.name})" if asked.version is None else f"Specific({asked.name}, {asked.version})"
            raise Refusal(Code.NOT_FOUND, f"Servable not found for request: {wanted}")
        with self.store.lease(asked.version) as served:
            yield served

    def statuses(self, asked: Asked) -> list[VersionStatus]:
        """Returns what is known of the versions that were asked for, the newest first.

        Raises:
            Refusal: NOT_FOUND.
        """
        self._check(asked)
        known = self.store.statuses() if asked.name == self.store.name else []
        if asked.version is not None:
            known = [status for status in known if status.version == asked.version]
            if not known:
                raise Refusal(Code.NOT_FOUND, f"Could not find version {asked.version} of model {asked.name}")
        if not known:
            raise Refusal(Code.NOT_FOUND, f"Could not find any versions of model {asked.name}")
        return known

    @property
    def ready(self) -> bool:
        """Whether requests are answered now."""
        return not self.stopping and self.store.current is not None

    @contextmanager
    def hold(self, size: int) -> Iterator[Callable[[int], None]]:
        """Counts the bytes of a request while it is read and answered.

        Args:
            size: those that are there already.

        Returns:
            A function that counts more.

        Raises:
            Refusal: RESOURCE_EXHAUSTED, all the requests together hold too much.
        """
        counted = 0

        def add(more: int) -> None:
            nonlocal counted
            if self._held + more > self.limits.largest_held:
                raise Refusal(Code.RESOURCE_EXHAUSTED, "The server holds too many large requests; try again later")
            counted += more
            self._held += more

        try:
            add(size)
            yield add
        finally:
            self._held -= counted

    async def predict(
        self,
        asked: Asked,
        signature_name: str,
        read: Callable[[Any], Mapping[str, np.ndarray]],
        *,
        size: int = 0,
        seconds: float | None = None,
        missing_signature: Callable[[str], Refusal] | None = None,
    ) -> Answer:
        """Runs a request in a batch with others.

        Args:
            asked: the model.
            signature_name: "" for the default.
            read: makes the inputs for a signature.
            size: bytes that `read` reads; many are read beside the event loop.
            seconds: until the asker gives up; at most the server's own limit, which holds for None.
            missing_signature: says that a signature is missing; by default as REST does.

        Raises:
            Refusal: with TensorFlow Serving's code.
        """
        seconds = min(self.limits.request_seconds if seconds is None else seconds, self.limits.request_seconds)
        with self.lease(asked) as served:
            name = signature_name or DEFAULT_SIGNATURE
            signature = served.model.signatures.get(name)
            if signature is None:
                raise (missing_signature or _missing_signature)(name)
            inputs = await apart(size, read, signature)
            check_inputs(signature, inputs)
            parts = await self._run(served, name, inputs, seconds)
        outputs = parts[0] if len(parts) == 1 else _joined(parts)
        check_answer(outputs, self.limits.largest_answer)
        return Answer(served.version, name, {each: outputs[each] for each in signature.outputs if each in outputs})

    @contextmanager
    def counted(self, entrypoint: str) -> Iterator[list[str]]:
        """Counts a request for predictions, with the code that it ends with.

        Args:
            entrypoint: "REST" or "gRPC".

        Returns:
            A list that takes the name of the signature.
        """
        start = time.monotonic()
        code = Code.INTERNAL
        signature: list[str] = []
        try:
            yield signature
            code = Code.OK
        except Refusal as refusal:
            code = refusal.code
            raise
        except asyncio.CancelledError:
            code = Code.CANCELLED
            raise
        finally:
            served = self.store.current
            name = (signature[0] if signature else "") or DEFAULT_SIGNATURE
            known = name if served is not None and name in served.model.signatures else ""
            self.metrics.observe_request(entrypoint, known, code.name, time.monotonic() - start)

    def refuse_method(self, asked: Asked, signature_name: str, kind: str) -> NoReturn:
        """Refuses a classification or a regression: every signature here is one for predictions.

        Args:
            asked: the model.
            signature_name: "" for the default.
            kind: "classify" or "regress".

        Raises:
            Refusal: always.
        """
        with self.lease(asked) as served:
            name = signature_name or DEFAULT_SIGNATURE
            if name not in served.model.signatures:
                raise invalid(f"No signature was found with the name: {name}")
            noun = {"classify": "classification", "regress": "regression"}[kind]
            raise invalid(
                f"Expected {noun} signature method_name to be tensorflow/serving/{kind}. Was: {PREDICT_METHOD}"
            )

    async def _run(
        self, served: Served, name: str, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> list[Mapping[str, np.ndarray]]:
        futures = served.batcher.submit(name, inputs, time.monotonic() + seconds)
        waiting = [asyncio.wrap_future(future) for future in futures]
        try:
            done, late = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            failed = next((error for future in done if (error := future.exception()) is not None), None)
            if failed is not None:
                raise self._refusal(served, name, failed) from failed
            if late:
                raise Refusal(Code.DEADLINE_EXCEEDED, f"The request was not answered within {seconds:.3g} seconds")
            return [future.result() for future in waiting]
        finally:
            for each in waiting:
                each.cancel()

    def _refusal(self, served: Served, name: str, error: BaseException) -> Refusal:
        refusal = refusal_of(error)
        if refusal.code == Code.INTERNAL:
            logger.error("model %s: version %d, %s: %s", self.store.name, served.version, name, refusal.message)
        return refusal

    def _check(self, asked: Asked) -> None:
        if self.stopping:
            raise Refusal(Code.UNAVAILABLE, "The server is shutting down")
        if not asked.name:
            raise invalid("ModelSpec has no name specified.")
        if asked.label is not None:
            raise invalid(f"Unrecognized servable version label: {asked.label}")


async def apart(size: int, function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Calls a function: in a thread where it has much to do, so that the others are answered meanwhile.

    Args:
        size: bytes that it reads or writes.
        function: what to call.
        arguments: for it.
    """
    if size <= QUICK_BYTES:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def _missing_signature(name: str) -> Refusal:
    return invalid(f'Serving signature name: "{name}" not found in signature def')


def read_version(digits: str) -> int:
    """Returns a version's number from a path.

    Raises:
        Refusal: INVALID_ARGUMENT, it is too large.
    """
    if len(digits) > 40 or int(digits) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    return int(digits)


def check_inputs(signature: Any, inputs: Mapping[str, np.ndarray]) -> None:
    """Checks that arrays fit a signature and agree on the size of the batch.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    check_names(signature, inputs)
    for name, info in signature.inputs.items():
        _check_shape(name, inputs[name].shape, info.shape)
    if len({len(array) for array in inputs.values()}) > 1:
        raise invalid("Batching session Run() input tensors must have equal 0th-dimension size")


def check_names(signature: Any, names: Collection[str]) -> None:
    """Checks that the inputs sent are those of a signature.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    sent, wanted = set(names), set(signature.inputs)
    if sent != wanted:
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({{{_names(sent)}}}) != "
            f"len({{{_names(wanted)}}}). Sent extra: {{{_names(sent - wanted)}}}. "
            f"Missing but required: {{{_names(wanted - sent)}}}."
        )


def _check_shape(name: str, shape: tuple[int, ...], expected: Any) -> None:
    if not shape:
        raise invalid("Batching session Run() input tensors must have at least one dimension")
    if expected is None:
        return
    fits = len(shape) == len(expected) and all(
        unknown(wanted) or size == wanted for size, wanted in zip(shape, expected, strict=True)
    )
    if not fits:
        known = ",".join("?" if unknown(size) else str(size) for size in expected)
        raise invalid(f"Input {name} has the shape [{','.join(map(str, shape))}], expected [{known}]")


def check_types(signature: Any, kinds: Mapping[str, int]) -> None:
    """Checks the types of tensors against a signature.

    Args:
        signature: with `inputs`.
        kinds: TensorFlow's numbers of the types, by the names of the inputs.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    for name, kind in kinds.items():
        info = signature.inputs.get(name)
        if info is not None and info.dtype != kind:
            raise invalid(f"Expects {name} to be {type_name(info.dtype)} but {type_name(kind)} is provided")


def check_answer(outputs: Mapping[str, np.ndarray], largest: int) -> None:
    """Checks that an answer's values are no more than a server writes, and says for how many rows they would not be.

    Args:
        outputs: arrays by name, the batch first.
        largest: bytes.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    size = sum(_size(array) for array in outputs.values())
    if size <= largest:
        return
    rows = max((len(array) for array in outputs.values() if array.ndim), default=1)
    most = rows * largest // size
    said = (
        f"Task size {rows} is larger than maximum input batch size {most} for such texts: " if 0 < most < rows else ""
    )
    raise invalid(f"{said}the answer has {size} bytes of values, and {largest} are written at once")


def _size(array: np.ndarray) -> int:
    return array.nbytes + sum(map(len, array.ravel())) if array.dtype == object else array.nbytes


def _names(names: set[str]) -> str:
    return ",".join(heapq.nsmallest(_MOST_NAMES, names))


def _joined(parts: list[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
