"""Requests to the REST surface that are nearly right, or wrong in every way, by generation."""

from __future__ import annotations

import base64
import json

from hypothesis import strategies as st

from tests.textseq.serving.rest_target import Request

SIGNATURES = ("serving_default", "n_best", "align", "score", "classify", "explain", "translate_and_classify")

_TEXTS = st.text(max_size=30) | st.sampled_from(
    ["", " ", "\x00", "\ud800", "\ufeff", "a\u0301" * 20, "\U0010ffff", "▁"]
)
_NUMBERS = st.sampled_from([0, -1, 2**31, -(2**31) - 1, 2**63, 10**400, 1e308, float("nan"), float("inf"), -0.0])
_BASE64 = st.binary(max_size=20).map(lambda value: {"b64": base64.b64encode(value).decode()})
_BROKEN_BASE64 = st.sampled_from([{"b64": "*"}, {"b64": "YQ="}, {"b64": 1}, {"b64": None}, {"b64": "YQ==", "c": 1}])
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _NUMBERS | _TEXTS | _BASE64 | _BROKEN_BASE64,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)
_TEXT = _TEXTS | _BASE64 | _BROKEN_BASE64 | _JUNK
_FIELDS = {"text": _TEXT}
_MORE_FIELDS = {"n": _NUMBERS | st.integers(-2, 20) | _JUNK, "translation": _TEXT, "other": _JUNK}
_ROWS = st.fixed_dictionaries(_FIELDS, optional=_MORE_FIELDS) | _TEXT | _JUNK
_COLUMNS = st.fixed_dictionaries(
    {"text": st.lists(_TEXT, max_size=4) | _TEXT},
    optional={name: st.lists(value, max_size=4) for name, value in _MORE_FIELDS.items()},
)
_DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.sampled_from(SIGNATURES) | _JUNK,
        "instances": st.lists(_ROWS, max_size=4) | _JUNK,
        "inputs": _COLUMNS | st.lists(_TEXT, max_size=4) | _JUNK,
        "other": _JUNK,
    },
)
_GOOD_TEXT = _TEXTS.map(lambda text: text.encode("utf-8", "replace").decode()) | _BASE64
_GOOD_DOCUMENTS = st.fixed_dictionaries(
    {"instances": st.lists(_GOOD_TEXT, min_size=1, max_size=4)},
    optional={"signature_name": st.sampled_from(["", "serving_default"]), "other": _JUNK},
) | st.fixed_dictionaries(
    {
        "signature_name": st.sampled_from(SIGNATURES),
        "instances": st.lists(
            st.fixed_dictionaries({"text": _GOOD_TEXT}, optional={"n": st.integers(-3, 300)}), min_size=1, max_size=4
        ),
    }
)


@st.composite
def _bodies(draw: st.DrawFn) -> bytes:
    """JSON that is nearly right, written as bytes and perhaps damaged; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    text = json.dumps(draw(_GOOD_DOCUMENTS | _DOCUMENTS | _JUNK), ensure_ascii=draw(st.booleans()))
    written = bytearray(text.encode(draw(st.sampled_from(["utf-8"] * 8 + ["utf-16", "utf-32"])), "surrogatepass"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        place = draw(st.integers(0, len(written)))
        written[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(written)


_HEADERS = st.sampled_from(
    [
        ("Content-Type", "application/json"),
        ("Content-Type", "text/plain; charset=latin-1"),
        ("Content-Type", "\x7f\x80"),
        ("Content-Encoding", "gzip"),
        ("Accept", "text/html"),
        ("Accept-Encoding", "gzip;q=nan, br"),
        ("Expect", "100-continue"),
        ("Range", "bytes=0-1,5-"),
        ("Origin", "null"),
        ("Host", "elsewhere.example"),
        ("X-Long", "x" * 4000),
    ]
)


def requests(model: str) -> st.SearchStrategy[Request]:
    """Requests that HTTP allows, whatever else is wrong with them."""
    names = st.sampled_from(
        [model] * 6 + ["", "unknown", "%00", "..", "%2e%2e%2f", "a" * 300, "%F0%9F%98%80", "*", "[]"]
    )
    versions = st.sampled_from(["", "/versions/1", "/versions/0", "/versions/-1", "/versions/x", f"/versions/{10**30}"])
    labels = st.sampled_from(["/labels/stable", "/labels/", "/versions/1/versions/1", "//"])
    endings = st.sampled_from([":predict"] * 8 + ["", "/metadata", ":classify", ":regress", ":explain", ":", "/", "/x"])
    queries = st.sampled_from([""] * 6 + ["?", "?a=b", "?" + "x" * 500, "#a", "?%00=%FF"])
    paths = st.tuples(names, versions | labels, endings, queries).map(lambda each: "/v1/models/" + "".join(each))
    likely = st.sampled_from([f"/v1/models/{model}:predict"] * 6)
    elsewhere = st.sampled_from(
        ["/v1/", "/v2/models", "//", "/..%2f..%2fetc/passwd", "/page/../server.py", "/%", "/" * 50]
    )
    return st.builds(
        Request,
        st.sampled_from(["POST"] * 12 + ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]),
        likely | paths | elsewhere,
        _bodies(),
        st.lists(_HEADERS, max_size=2, unique_by=lambda header: header[0]).map(tuple),
    )
