"""Codes, statuses, and errors that become refusals."""

from __future__ import annotations

import grpc
import pytest

from textseq.serving.refusal import HTTP_STATUS, Code, Refusal, refusal_of


class Fault(Exception):
    def __init__(self, code: object, message: str = "said") -> None:
        super().__init__("as text")
        self.code = code
        self.message = message


def test_the_codes_are_those_of_grpc() -> None:
    assert {code.name: code.value for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_every_code_but_ok_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(Code) - {Code.OK}


def test_an_error_with_a_code_keeps_it() -> None:
    assert str(refusal_of(Fault(3))) == "INVALID_ARGUMENT: said"


@pytest.mark.parametrize("code", [0, 99, -1, "3", None])
def test_an_error_without_one_is_internal(code: object) -> None:
    assert str(refusal_of(Fault(code))) == "INTERNAL: Fault: as text"


def test_a_refusal_stays_itself_and_is_no_longer_than_a_page() -> None:
    refusal = Refusal(Code.NOT_FOUND, "x" * 10_000)
    assert refusal_of(refusal) is refusal
    assert len(refusal.message) < 2100
