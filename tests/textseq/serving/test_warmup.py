"""A version is not served where one warm-up request fails: each of them has to be what the version answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.textseq.serving.export_stand_in import GOLDEN, SIGNATURES, TEXTS, Examples, made_export, saved_model
from textseq.errors import ExportMismatch, OutputError
from textseq.serving.native import messages
from textseq.serving.tf_record import read_tf_records, tf_record
from textseq.serving.warmup import read_warmup_requests, row_bytes, usual_rows, warmup_requests

SIZES = (1, 3, 16)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return made_export(tmp_path, 1) / "1"


def test_tensorflow_serving_reads_them(version: Path) -> None:
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    tf = pytest.importorskip("tensorflow")
    content = warmup_requests("en-de", version, GOLDEN, SIZES)
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in read_tf_records(content)]
    assert len(logs) == 2 * len(SIZES) <= 1000
    for log, (signature, size) in zip(
        logs, [(name, size) for name in sorted(SIGNATURES) for size in SIZES], strict=True
    ):
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert (request.model_spec.name, request.model_spec.signature_name) == ("en-de", signature)
        assert set(request.inputs) == set(SIGNATURES[signature][0])
        arrays = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
        assert all(array.shape == (size,) for array in arrays.values())
        assert set(arrays["text"]) <= set(TEXTS)
        if "n" in arrays:
            assert arrays["n"].dtype == np.int32
            # The golden input of each row, not of another.
            assert [TEXTS.index(text) for text in arrays["text"]] == arrays["n"].tolist()


def test_a_model_answers_every_request(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")

    class Repeater(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="text"), tf.TensorSpec([None], tf.int32, name="n")]
        )
        def n_best(self, text: Any, n: Any) -> Any:
            return {"length": tf.strings.length(text) * n}

    module = Repeater()
    tf.saved_model.save(module, str(tmp_path), signatures={"n_best": module.n_best})
    content = warmup_requests("en-de", tmp_path, {"n_best": GOLDEN["n_best"]}, SIZES)
    function = tf.saved_model.load(str(tmp_path)).signatures["n_best"]
    requests = read_warmup_requests(content)
    assert len(requests) == len(SIZES)
    for request in requests:
        given = {key: tf.io.parse_tensor(each.SerializeToString(), each.dtype) for key, each in request.inputs.items()}
        expected = [len(text) * n for text, n in zip(given["text"].numpy(), given["n"].numpy(), strict=True)]
        assert function(**given)["length"].numpy().tolist() == expected


def test_the_texts_have_the_usual_lengths(version: Path) -> None:
    requests = read_warmup_requests(warmup_requests("x", version, GOLDEN, (1, 7, 14)))
    batches = [[len(text) for text in request.inputs["text"].string_val] for request in requests[3:]]
    usual = sorted(len(text) for text in TEXTS)[:-1]  # without the one of 300 bytes
    assert batches == [[usual[3]], usual, sorted(usual * 2)]


def test_large_batches_get_the_shorter_texts(version: Path) -> None:
    long = Examples({"text": [b"x" * length for length in (100, 9000, 1000, 4000, 50_000)]}, {})
    requests = read_warmup_requests(
        warmup_requests("x", version, {**GOLDEN, "serving_default": long}, (1, 2, 8, 64, 100))
    )
    batches = [{len(text) for text in request.inputs["text"].string_val} for request in requests[5:]]
    assert batches == [{1000}, {100, 4000}, {100, 1000}, {100}, {100}]
    assert [len(request.inputs["text"].string_val) for request in requests[5:]] == [1, 2, 8, 64, 100]


def test_usual_rows() -> None:
    assert usual_rows(Examples({"text": [b"aaa", b"", b"a"], "n": [1, 2, 3]}, {})) == [1, 2]
    assert usual_rows(Examples({"text": [b"aaa"]}, {})) == [0]
    assert row_bytes(Examples({"text": [b"aaa", b""], "translation": [b"b", b"bb"]}, {})) == [4, 2]
    assert row_bytes(Examples({"n": [5, 6]}, {})) == [0, 0]


def test_other_signatures(version: Path) -> None:
    with pytest.raises(ExportMismatch) as caught:
        warmup_requests("x", version, {"serving_default": GOLDEN["serving_default"]}, SIZES)
    assert str(caught.value) == (
        f"{version}: the export has the signatures n_best, serving_default, expected those with golden inputs: "
        f"serving_default; nothing was published"
    )


def test_other_inputs(version: Path) -> None:
    golden = {**GOLDEN, "n_best": Examples({"text": TEXTS, "k": [1] * 8}, {})}
    with pytest.raises(ExportMismatch) as caught:
        warmup_requests("x", version, golden, SIZES)
    assert str(caught.value) == (
        f"{version}: the signature n_best takes n, text, expected the golden inputs k, text; nothing was published"
    )


def test_too_many(version: Path) -> None:
    with pytest.raises(ExportMismatch) as caught:
        warmup_requests("x", version, GOLDEN, range(1, 502))
    assert str(caught.value) == (
        f"{version}: 2 signatures in 501 batch sizes each make more than 1000 warm-up requests, the most that "
        f"TensorFlow Serving reads; allow fewer batch sizes"
    )
    assert len(read_warmup_requests(warmup_requests("x", version, GOLDEN, [1] * 500))) == 1000


def test_a_request_that_was_changed_on_its_way(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(content: bytes) -> list[Any]:
        requests = read_warmup_requests(content)
        requests[1].inputs["n"].dtype = messages.DT_FLOAT
        return requests

    monkeypatch.setattr("textseq.serving.warmup.read_warmup_requests", other)
    with pytest.raises(ExportMismatch, match=r"warm-up request 2 asks n_best with .*\(type, shape\); nothing was publ"):
        warmup_requests("x", version, GOLDEN, SIZES)


def test_no_saved_model(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"saved_model\.pb: cannot be read as a SavedModel \(.*\); export the run"):
        warmup_requests("x", tmp_path, GOLDEN, SIZES)
    (tmp_path / "saved_model.pb").write_bytes(saved_model()[:-3])
    with pytest.raises(OutputError, match=r"saved_model\.pb: cannot be read as a SavedModel \(.*\); export the run"):
        warmup_requests("x", tmp_path, GOLDEN, SIZES)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(OutputError, match=r"holds no model for servers, expected the tag 'serve'; export the run anew"):
        warmup_requests("x", tmp_path, GOLDEN, SIZES)


def test_what_is_no_warmup_file() -> None:
    with pytest.raises(ValueError, match=r"^record 1 holds no PredictionLog$"):
        read_warmup_requests(tf_record(b"\xff"))
    with pytest.raises(ValueError, match=r"^record 2 holds no request to predict$"):
        good = messages.PredictionLog(predict_log={"request": {}}).SerializeToString()
        read_warmup_requests(tf_record(good) + tf_record(b""))
