"""What stands in for a server and for a model where the page is tested: fixed answers in TensorFlow Serving's form."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import textseq

PAGE = Path(textseq.__file__).parent / "serving" / "page"
SOURCE = ["▁a", "▁house", "</s>"]
TARGET = ["▁ein", "▁Haus", "</s>"]
ATTENTION = [[0.9, 0.07, 0.03], [0.1, 0.85, 0.05], [0.02, 0.08, 0.9]]
TRANSLATION = {"translation": "ein Haus", "score": -0.125, "truncated": False}
N_BEST = {
    "translations": ["ein Haus", "<b>das</b> Haus", ""],
    "scores": [-0.125, -1.5, -3.4e38],
    "count": 2,
    "truncated": False,
}
ALIGN = {
    **TRANSLATION,
    "source_tokens": [*SOURCE, ""],
    "target_tokens": [*TARGET, ""],
    "attention": [[*row, 0.0] for row in ATTENTION] + [[0.0] * 4],
    "source_length": 3,
    "target_length": 3,
}
CLASSES = {
    "label": "good",
    "probability": 0.75,
    "labels": ["bad", "good"],
    "probabilities": [0.25, 0.75],
    "truncated": False,
}
EXPLAIN = {
    "label": "good",
    "probability": 0.75,
    "words": ["never", "dull", "!", ""],
    "weights": [2.0, -1.0, 0.0, 0.0],
    "word_count": 3,
    "truncated": False,
}
NMT = {"serving_default": TRANSLATION, "n_best": N_BEST, "align": ALIGN}
CLASSIFIERS = {"serving_default": CLASSES, "explain": EXPLAIN}
COMBINED = {
    **NMT,
    "classify": CLASSES,
    "explain": EXPLAIN,
    "translate_and_classify": {**TRANSLATION, **CLASSES},
}


class StandIn:
    """A server of one model whose answers are fixed; a number in place of one is the status of a failure."""

    def __init__(self, task: str, answers: Mapping[str, Any]) -> None:
        self.task = task
        self.answers = dict(answers)
        self.received: list[dict[str, Any]] = []
        self.slow: dict[str, float] = {}

    def app(self) -> Any:
        from starlette.applications import Starlette
        from starlette.responses import FileResponse
        from starlette.routing import Mount, Route
        from starlette.staticfiles import StaticFiles

        async def index(request: Any) -> Any:
            return FileResponse(PAGE / "index.html")

        return Starlette(
            routes=[
                Route("/", index),
                Route("/page/model.json", self.model),
                Mount("/page", StaticFiles(directory=PAGE)),
                Route("/v1/models/my model/metadata", self.metadata),
                Route("/v1/models/my model:predict", self.predict, methods=["POST"]),
            ]
        )

    async def model(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        return JSONResponse({"name": "my model", "task": self.task})

    async def metadata(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        definitions: dict[str, Any] = {
            name: {"inputs": {}, "outputs": {key: {} for key in (TRANSLATION if isinstance(answer, int) else answer)}}
            for name, answer in self.answers.items()
        }
        return JSONResponse(
            {
                "model_spec": {"name": "my model", "signature_name": "", "version": "1"},
                "metadata": {"signature_def": {"signature_def": definitions}},
            }
        )

    async def predict(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        received = await request.json()
        self.received.append(received)
        answer = self.answers[received["signature_name"]]
        await asyncio.sleep(self.slow.get(received["instances"][0]["text"], 0.0))
        if isinstance(answer, int):
            return JSONResponse({"error": f"said <b>{answer}</b>"}, status_code=answer)
        if "translation" in answer and received["instances"][0]["text"] == "later":
            answer = {**answer, "translation": "später"}
        return JSONResponse({"predictions": [answer]})


@contextlib.contextmanager
def served(stand_in: StandIn) -> Iterator[str]:
    """The address of the server, which runs in a thread."""
    uvicorn = pytest.importorskip("uvicorn")
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(stand_in.app(), log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
    assert not thread.is_alive()


STRING, FLOAT, INT32, BOOL = 7, 1, 3, 10
OUTPUTS = {
    "translation": (STRING, (None,)),
    "score": (FLOAT, (None,)),
    "truncated": (BOOL, (None,)),
    "translations": (STRING, (None, None)),
    "scores": (FLOAT, (None, None)),
    "count": (INT32, (None,)),
    "source_tokens": (STRING, (None, None)),
    "target_tokens": (STRING, (None, None)),
    "attention": (FLOAT, (None, None, None)),
    "source_length": (INT32, (None,)),
    "target_length": (INT32, (None,)),
}


class Fixed:
    """A model for the real server, that gives the answers of the stand-in."""

    def __init__(self) -> None:
        def infos(names: Any) -> dict[str, Any]:
            return {
                name: SimpleNamespace(name=name, dtype=OUTPUTS[name][0], shape=list(OUTPUTS[name][1])) for name in names
            }

        text = SimpleNamespace(name="text", dtype=STRING, shape=[None])
        count = SimpleNamespace(name="n", dtype=INT32, shape=[None])
        self.signatures = {
            name: SimpleNamespace(
                inputs={"text": text, "n": count} if name == "n_best" else {"text": text}, outputs=infos(answer)
            )
            for name, answer in NMT.items()
        }

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        import numpy as np

        kinds = {STRING: object, FLOAT: np.float32, INT32: np.int32, BOOL: bool}
        rows = len(inputs["text"])
        outputs = {name: np.array([value] * rows, kinds[OUTPUTS[name][0]]) for name, value in NMT[signature].items()}
        for array in outputs.values():
            if array.dtype == object:
                array[...] = np.vectorize(str.encode, [object])(array)
        return outputs

    def close(self) -> None:
        pass
