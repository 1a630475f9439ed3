"""The servers that the clients must work with.

`stub` is written from TF Serving's documentation, `ours` is `textseq.serving.server` around a model without
TensorFlow, and `tf_serving` is whatever runs at the addresses in the environment, which is run by
`pytest -m tf_serving`:

    TF_SERVING_REST=http://localhost:8501 TF_SERVING_GRPC=grpc://localhost:8500 TF_SERVING_MODEL=nmt \
        pytest -m tf_serving

It may have any model whose `serving_default` takes `text`, also one of `nmt serve DIR`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.textseq.serving.stub_server import MODEL, SIGNATURES, Stub, grpc_server, rest_server
from textseq.serving.native import messages
from textseq.serving.server import Server

VARIABLES = ("TF_SERVING_REST", "TF_SERVING_GRPC", "TF_SERVING_MODEL")
DTYPES = {
    "DT_STRING": (messages.DT_STRING, object),
    "DT_FLOAT": (messages.DT_FLOAT, np.float32),
    "DT_DOUBLE": (messages.DT_DOUBLE, np.float64),
    "DT_INT32": (messages.DT_INT32, np.int32),
    "DT_BOOL": (messages.DT_BOOL, np.bool_),
}


@dataclass(frozen=True)
class Served:
    rest: str
    grpc: str
    model: str


class StubModel:
    """What the stub answers, as a model of our server."""

    def __init__(self) -> None:
        self.signatures: Mapping[str, Any] = {
            name: SimpleNamespace(inputs=_infos(inputs), outputs=_infos(outputs))
            for name, (inputs, outputs) in SIGNATURES.items()
        }

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        answer = Stub().predict(signature, {name: array.tolist() for name, array in inputs.items()})
        outputs = SIGNATURES[signature][1]
        return {name: np.array(values, DTYPES[outputs[name][0]][1]) for name, values in answer.items()}

    def close(self) -> None:
        pass


def _infos(described: Mapping[str, tuple[str, list[int]]]) -> dict[str, Any]:
    return {
        name: SimpleNamespace(name=f"{name}:0", dtype=DTYPES[dtype][0], shape=tuple(None for _ in dims))
        for name, (dtype, dims) in described.items()
    }


@pytest.fixture(
    scope="module", params=["stub", "ours", pytest.param("tf_serving", marks=pytest.mark.tf_serving)], autouse=True
)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if request.param == "tf_serving":
        missing = [name for name in VARIABLES if not os.environ.get(name)]
        if missing:
            pytest.skip(f"no TF Serving to ask: set {', '.join(missing)}; see {Path(__file__).name}")
        yield Served(*(os.environ[name] for name in VARIABLES))
    elif request.param == "stub":
        stub = Stub()
        with rest_server(stub), grpc_server(stub):
            yield Served(stub.rest, stub.grpc, MODEL)
    else:
        folder = tmp_path_factory.mktemp("exported")
        (folder / "2").mkdir()
        (folder / "export.json").write_text('{"format": "dragoman-export", "version": 1, "task": "nmt"}')
        with Server(folder, name=MODEL, port=0, grpc_port=0, open_model=lambda path: StubModel()) as server:
            yield Served(server.url, f"grpc://127.0.0.1:{server.grpc_port}", MODEL)
