"""The page in headless Chromium, against a server that gives fixed answers in TensorFlow Serving's form."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.textseq.serving.page_stand_in import (
    ALIGN,
    ATTENTION,
    CLASSES,
    CLASSIFIERS,
    COMBINED,
    NMT,
    PAGE,
    SOURCE,
    TARGET,
    TRANSLATION,
    Fixed,
    StandIn,
    served,
)

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    executable = CHROMIUM if CHROMIUM.exists() else shutil.which("chromium") or shutil.which("google-chrome")
    if not executable:
        pytest.skip(f"there is no {CHROMIUM}, and no other Chromium on the PATH")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=str(executable), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Opens the page of a server; what the browser complains of, and any request elsewhere, fails the test."""
    complaints: list[str] = []
    with contextlib.ExitStack() as stack:

        def open_page(stand_in: StandIn, ready: str = "textarea:visible", **options: Any) -> Any:
            address = stack.enter_context(served(stand_in))
            context = browser.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(10_000)
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "request",
                lambda request: complaints.extend(
                    [] if request.url.startswith((address, "data:")) else [f"asked {request.url}"]
                ),
            )
            page.goto(address)
            page.wait_for_selector(ready)
            return page

        yield open_page
    # A failure of the server is one of the things that are tested.
    assert [one for one in complaints if not one.startswith("Failed to load resource")] == []


def submit(page: Any, text: str, section: str = "#translation") -> None:
    page.fill(f"{section} textarea", text)
    page.click(f"{section} button[type=submit]")
    page.locator(f"{section} .progress", has_text="Answered").wait_for()


def test_a_translation_is_shown_with_score_alternatives_and_alignment(opened: Any) -> None:
    stand_in = StandIn("nmt", NMT)
    page = opened(stand_in)
    assert page.inner_text("#model") == "Model my model"
    assert page.title() == "my model · Dragoman"
    assert not page.is_visible("#sentiment")
    submit(page, "a house")
    assert page.inner_text("#translation .result") == "ein Haus"
    assert page.get_by_role("status").filter(has_text="ein Haus: Answered in").count() == 1
    assert "-0.125" in page.inner_text("#translation .answer")
    items = page.locator("#translation li").all_inner_texts()
    assert [re.sub(r"\s+", " ", item) for item in items] == ["ein Haus -0.125", "<b>das</b> Haus -1.500"]
    assert page.locator(".alignment thead th").all_inner_texts() == SOURCE
    assert page.locator(".alignment tbody th").all_inner_texts() == TARGET
    cells = [float(text) for text in page.locator(".alignment tbody td").all_text_contents()]
    assert cells == [round(weight, 2) for row in ATTENTION for weight in row]
    assert not page.is_visible(".warning")
    received = {each["signature_name"]: each["instances"] for each in stand_in.received}
    assert received == {
        "serving_default": [{"text": "a house"}],
        "n_best": [{"text": "a house", "n": 5}],
        "align": [{"text": "a house"}],
    }


def test_ctrl_enter_translates(opened: Any) -> None:
    page = opened(StandIn("nmt", NMT))
    page.keyboard.type("a house")  # the text area has the focus from the start
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#translation .result")


def test_cells_tell_their_value_on_hover_and_by_arrow_keys(opened: Any) -> None:
    page = opened(StandIn("nmt", NMT))
    submit(page, "a house")
    page.hover(".alignment tbody tr:nth-child(2) td:nth-of-type(2)")
    assert page.inner_text(".readout") == "▁Haus looks at ▁house: 0.85"
    page.focus(".alignment tbody td")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.inner_text(".readout") == "</s> looks at ▁house: 0.08"
    assert page.locator(".alignment td[tabindex='0']").count() == 1


def test_colour_deepens_with_attention_and_a_frame_marks_the_strongest(opened: Any) -> None:
    page = opened(StandIn("nmt", NMT), color_scheme="light")
    submit(page, "a house")
    shades = page.eval_on_selector_all(
        ".alignment tbody tr:first-child td", "cells => cells.map(cell => getComputedStyle(cell).backgroundColor)"
    )
    lightness = [float(re.search(r"[\d.]+", shade).group()) for shade in shades]  # type: ignore[union-attr]
    assert lightness[0] < lightness[1] < lightness[2]
    strongest = page.eval_on_selector_all("td.strongest", "cells => cells.map(cell => cell.textContent)")
    assert strongest == ["0.90", "0.85", "0.90"]


def test_a_source_from_right_to_left_runs_from_right_to_left(opened: Any) -> None:
    page = opened(StandIn("nmt", NMT))
    submit(page, "بيت")
    assert page.get_attribute(".alignment", "dir") == "rtl"


def test_truncation_is_said(opened: Any) -> None:
    page = opened(StandIn("nmt", {"serving_default": {**TRANSLATION, "truncated": True}}))
    assert not page.is_visible("#alternatives")
    submit(page, "a house " * 600)
    assert "only its beginning was used" in page.inner_text("#translation .warning")


def test_bytes_in_base64_and_an_empty_translation(opened: Any) -> None:
    stand_in = StandIn("nmt", {"serving_default": {**TRANSLATION, "translation": {"b64": "SMOkdXNlcg=="}}})
    page = opened(stand_in)
    submit(page, "x")
    assert page.inner_text("#translation .result") == "Häuser"
    stand_in.answers["serving_default"] = {**TRANSLATION, "translation": ""}
    submit(page, "")
    assert page.inner_text("#translation .result") == "(empty)"


def test_half_a_surrogate_pair_is_sent_as_u_fffd(opened: Any) -> None:
    stand_in = StandIn("nmt", {"serving_default": TRANSLATION})
    page = opened(stand_in)
    page.evaluate("document.querySelector('#translation textarea').value = 'a\\ud800b😀\\udc00'")
    page.click("#translation button")
    page.wait_for_selector("#translation .result")
    assert stand_in.received[0]["instances"] == [{"text": "a\ufffdb😀\ufffd"}]


def test_a_class_is_shown_with_probabilities_and_weights(opened: Any) -> None:
    page = opened(StandIn("classifiers", CLASSIFIERS))
    assert not page.is_visible("#translation")
    submit(page, "Never: never dull!", "#sentiment")
    assert page.inner_text("#sentiment .result") == "good"
    rows = [re.sub(r"\s+", " ", row).strip() for row in page.locator(".bars tr").all_inner_texts()]
    assert rows == ["bad 25.0 %", "good 75.0 %"]
    widths = page.eval_on_selector_all(".fill", "bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.01)
    assert page.inner_text(".words") == "Never: never dull!"
    assert page.locator(".words .for").all_inner_texts() == ["never", "!"]
    assert page.locator(".words .against").all_inner_texts() == ["dull"]
    lines = page.eval_on_selector_all(
        ".words .word", "words => words.map(word => getComputedStyle(word).textDecorationStyle)"
    )
    assert lines == ["solid", "dashed", "solid"]
    page.click("summary")
    assert page.locator(".weights tbody td").all_inner_texts() == ["+2.000", "−1.000", "+0.000"]


def test_without_names_of_labels_the_best_is_named_by_the_answer(opened: Any) -> None:
    nameless = {name: value for name, value in CLASSES.items() if name != "labels"}
    page = opened(StandIn("classifiers", {"serving_default": nameless}))
    submit(page, "good", "#sentiment")
    assert page.locator(".bars th").all_inner_texts() == ["class 1", "good"]


@pytest.mark.parametrize(
    ("given", "label", "chosen"), [((True, False, True), "bad;odd", ["bad", "odd"]), ((False,) * 3, "(no label)", [])]
)
def test_every_label_that_the_answer_gives_is_marked(
    opened: Any, given: tuple[bool, ...], label: str, chosen: list[str]
) -> None:
    several = {"labels": ["bad", "good", "odd"], "probabilities": [0.6, 0.4, 0.9], "given": list(given)}
    answer = {**CLASSES, **several, "label": label if chosen else ""}
    page = opened(StandIn("classifiers", {"serving_default": answer}))
    submit(page, "well", "#sentiment")
    assert page.inner_text("#sentiment .result") == label
    assert page.locator(".bars th").all_inner_texts() == ["bad", "good", "odd"]
    assert page.locator(".bars tr.chosen th").all_inner_texts() == chosen


def test_a_combined_model_translates_and_classifies_the_translation(opened: Any) -> None:
    stand_in = StandIn("combined", COMBINED)
    page = opened(stand_in)
    submit(page, "a house")
    assert "The translation reads as good probability 0.750" in page.inner_text("#translation .answer")
    page.click("text=Classify the translation")
    page.wait_for_selector(".words")
    assert page.input_value("#sentiment textarea") == "ein Haus"
    submit(page, "gut", "#sentiment")
    assert {"signature_name": "classify", "instances": [{"text": "gut"}]} in stand_in.received


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "The server refused the input: said <b>400</b>"),
        (429, "more to do than it can take"),
        (500, "The server failed (HTTP 500)"),
        (503, "The server is not ready"),
    ],
)
def test_failures_are_said_in_words(opened: Any, status: int, words: str) -> None:
    stand_in = StandIn("nmt", {"serving_default": TRANSLATION, "align": status})
    page = opened(stand_in)
    page.click("#translation button")
    page.wait_for_selector("#translation .error:visible")
    assert words in page.inner_text("#translation .error")
    assert page.inner_text("#translation .result") == "ein Haus"  # what did come is shown
    stand_in.answers["align"] = ALIGN
    submit(page, "a house")
    assert not page.is_visible("#translation .error")


def test_a_server_that_is_gone_is_said(opened: Any) -> None:
    page = opened(StandIn("nmt", NMT))
    page.route("**/*:predict", lambda route: route.abort())
    page.click("#translation button")
    page.wait_for_selector("#translation .error:visible")
    assert page.inner_text("#translation .error") == "The server cannot be reached. Is it still running?"


def test_a_model_that_is_not_there_yet_is_asked_for_again(opened: Any) -> None:
    class Late(StandIn):
        ready = False

        async def metadata(self, request: Any) -> Any:
            from starlette.responses import JSONResponse

            if self.ready:
                return await super().metadata(request)
            return JSONResponse({"error": "Servable not found"}, status_code=404)

    stand_in = Late("nmt", NMT)
    page = opened(stand_in, ready="#failure:visible")
    assert page.inner_text("#failure") == "The server does not know this: Servable not found"
    stand_in.ready = True
    page.click("#retry button")
    page.wait_for_selector("textarea:visible")
    assert not page.is_visible("#failure")


def test_a_model_of_another_kind_is_said(opened: Any) -> None:
    page = opened(StandIn("other", {"serving_default": {"sum": 1}}), ready="#failure:visible")
    assert page.inner_text("#failure") == "This page knows no signature of this model."


def test_the_latest_submission_alone_is_shown(opened: Any) -> None:
    stand_in = StandIn("nmt", {"serving_default": TRANSLATION})
    stand_in.slow["first"] = 0.6
    page = opened(stand_in)
    page.fill("#translation textarea", "first")
    page.click("#translation button")
    submit(page, "later")
    time.sleep(0.8)
    assert page.inner_text("#translation .result") == "später"
    assert not page.is_visible("#translation .error")


def test_the_real_server_serves_the_page(browser: Any, tmp_path: Path) -> None:
    for package in ("starlette", "uvicorn", "grpc", "prometheus_client"):
        pytest.importorskip(package, reason="the extra `serve` is not installed")
    from textseq.serving.limits import Limits
    from textseq.serving.server import Server

    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
    complaints: list[str] = []
    with (
        Server(
            tmp_path, name="a model", port=0, grpc_port=0, limits=Limits(poll_seconds=0.1), open_model=lambda _: Fixed()
        ) as server,
        contextlib.closing(browser.new_context()) as context,
    ):
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        answer = page.goto(server.url)
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        submit(page, "a house")
        assert page.inner_text("#model") == "Model a model"
        assert page.inner_text("#translation .result") == "ein Haus"
        assert page.locator("#translation li").count() == 2
        assert page.locator(".alignment tbody td").count() == 9
    assert complaints == []


def test_nothing_comes_from_elsewhere_and_no_markup_is_made_of_text() -> None:
    html, script, style = ((PAGE / name).read_text("utf-8") for name in ("index.html", "page.js", "page.css"))
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in html
    for each in (html, script, style):
        assert not re.search(r"https?://|@import|url\(|(?:src|href)=\"//", each)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(", script
    )
    assert not re.search(r"<script>|<style>|\son\w+=|\sstyle=", html)


def test_every_field_is_labelled_and_every_change_is_announced() -> None:
    html = (PAGE / "index.html").read_text("utf-8")
    labelled = set(re.findall(r'<label for="([\w-]+)"', html))
    fields = set(re.findall(r'<(?:textarea|input) id="([\w-]+)"', html))
    assert fields == labelled
    assert html.count('role="status"') == 3
    assert html.count('role="alert"') == 3


def test_it_fits_a_narrow_screen(opened: Any) -> None:
    tokens = [f"▁word{number}" for number in range(30)]
    wide = {**ALIGN, "source_tokens": tokens, "source_length": 30, "attention": [[1 / 30] * 30] * 4}
    classes = {**CLASSES, "labels": ["bad", "extraordinarily-good" * 3]}
    page = opened(
        StandIn("combined", {**COMBINED, "align": wide, "classify": classes}),
        viewport={"width": 320, "height": 640},
        color_scheme="dark",
    )
    submit(page, "x" * 400)
    submit(page, "Never dull!", "#sentiment")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.locator(".bars th").first.bounding_box()["height"] < 40  # "bad" stands in one line
    assert json.loads(page.evaluate("JSON.stringify(getComputedStyle(document.body).backgroundColor)")) == (
        "rgb(20, 22, 26)"
    )
