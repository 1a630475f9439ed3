"""The command line against stand-ins for the library: what it parses, what it calls, what it prints."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import classifiers
from classifiers import cli
from classifiers.explanation import Explanation, WordWeight
from classifiers.prediction import Prediction
from tests.command_line_stand_ins import Command, FakeConfig, FakeModel, StandIns, command_of
from textseq.command_line import LINES_AT_ONCE
from textseq.errors import CorpusError

COMMANDS = ("quickstart", "pretrain", "train", "predict", "evaluate", "explain", "export", "serve", "rollback")


class Report:
    COLUMNS = ("metric", "value")

    def __init__(self, stand_ins: StandIns) -> None:
        self.plot = stand_ins.function("plot")

    def to_dict(self) -> dict[str, Any]:
        return {"macro_f1": 0.915, "text": "Straße"}

    def rows(self) -> list[tuple[str, object]]:
        return [("macro F1", 0.915)]

    def next_steps(self) -> str:
        return "Next:\n  classifiers predict\n"


class FakeClassifier(FakeModel):
    """Empty text has the prior; "?" is not sure; "long" is cut; "both" has two labels, "none" has none."""

    config = SimpleNamespace(corpus=SimpleNamespace(label_separator=";"))

    def predict(self, lines: Sequence[str], **options: Any) -> list[Prediction]:
        self.stand_ins.calls.append(("predict", (list(lines),), options))
        several = {"both": ("bad", "good"), "none": ()}
        return [
            Prediction(
                line,
                "good",
                several.get(line, ()),
                0.75,
                {"bad": 0.25, "good": 0.75},
                empty=not line.strip(),
                truncated=line == "long",
                abstained=options["abstain"] and line == "?",
                multi_label=line in several,
            )
            for line in lines
        ]

    def explain(self, lines: Sequence[str], **options: Any) -> list[Explanation]:
        self.stand_ins.calls.append(("explain", (list(lines),), options))
        predictions = FakeClassifier(StandIns()).predict(lines, abstain=False)
        return [
            Explanation(one, (WordWeight(one.text, 1.5, 0, len(one.text)),) if one.text else (), "good", "gradients")
            for one in predictions
        ]


class FakeRemote(FakeModel):
    """A classifier on a server: what several labels are joined with is known once some were."""

    separator = ", "

    def predict(self, lines: Sequence[str]) -> list[Prediction]:
        self.stand_ins.calls.append(("predict", (list(lines),), {}))
        self.separator = ";"
        return FakeClassifier(StandIns()).predict(lines, abstain=False)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    stand_ins = StandIns()
    report = Report(stand_ins)
    names: dict[str, object] = {
        **{name: stand_ins.function(name, report) for name in ("train", "pretrain", "evaluate", "quickstart")},
        "export": stand_ins.function("export", Path("out/1")),
        "Config": FakeConfig,
        "PretrainingConfig": FakeConfig,
        "Classifier": FakeClassifier(stand_ins),
        "RemoteClassifier": FakeRemote(stand_ins),
    }
    stand_ins.replace(monkeypatch, classifiers, names)
    return stand_ins


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_of(cli.app, "classifiers", ("train", "pretrain", "quickstart"), monkeypatch)


# Training -----------------------------------------------------------------------------------------------------------


def test_train_hands_over_files_and_settings(stand_ins: StandIns, command: Command) -> None:
    code, out, err = command(
        *("train", "--train", "a.tsv", "--valid", 'v".tsv', "--test", "t.tsv", "--from-run", "runs/en-de"),
        *("--run", "runs/x", "--set", "training.epochs=3"),
    )
    assert code == 0, err
    ((name, (config, run), options),) = stand_ins.calls
    assert (name, run, options) == ("train", "runs/x", {})
    assert config.source == "defaults"
    assert config.overrides == [
        'corpus.train="a.tsv"',
        'corpus.valid="v\\".tsv"',
        'corpus.test="t.tsv"',
        'from_run="runs/en-de"',
        "training.epochs=3",
    ]
    assert err == "train begins\n"
    assert "macro F1" in out


def test_pretrain_hands_over_text_and_settings(stand_ins: StandIns, command: Command) -> None:
    code, out, err = command(
        *("pretrain", "--text", "a.txt", "--valid-text", "v.txt", "--run", "runs/x", "--set", "training.epochs=3")
    )
    assert code == 0, err
    ((name, (config, run), options),) = stand_ins.calls
    assert (name, run, options) == ("pretrain", "runs/x", {})
    assert config.overrides == ['corpus.text="a.txt"', 'corpus.valid_text="v.txt"', "training.epochs=3"]
    assert err == "pretrain begins\n"
    assert "macro F1" in out


@pytest.mark.parametrize("name", ["train", "pretrain"])
def test_training_takes_a_configuration_file(stand_ins: StandIns, command: Command, name: str) -> None:
    assert command(name, "--config", "my.toml", "--run", "runs/x", "--json")[0] == 0
    config = stand_ins.calls[0][1][0]
    assert (config.source, config.overrides) == ("my.toml", [])


@pytest.mark.parametrize("name", ["train", "pretrain"])
def test_training_resumes_a_run_by_its_name_alone(
    stand_ins: StandIns, command: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "config.toml").write_text("")
    assert command(name, "--run", str(tmp_path))[0] == 0
    config = stand_ins.calls[0][1][0]
    assert (config.source, config.overrides) == (str(tmp_path / "config.toml"), [])


@pytest.mark.parametrize(("name", "option"), [("train", "--train"), ("pretrain", "--text")])
def test_training_on_nothing_says_what_to_give(
    stand_ins: StandIns, command: Command, tmp_path: Path, name: str, option: str
) -> None:
    code, out, err = command(name, "--run", str(tmp_path / "x"))
    assert (code, out) == (2, "")
    assert err == (
        f"error: {tmp_path / 'x'}: no run here to resume, and no text to train on; give {option}, or --config\n"
    )
    assert stand_ins.calls == []


@pytest.mark.parametrize(("name", "option"), [("train", "--train"), ("pretrain", "--text")])
def test_training_interrupted_says_how_to_go_on(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch, command: Command, name: str, option: str
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(vars(classifiers), name, interrupted)
    code, out, err = command(name, "--run", "x", option, "a")
    assert (code, out, err) == (130, "", "interrupted; run the same command to resume\n")


def test_bad_input_is_one_line_and_exit_code_2(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise CorpusError("label 'god' is unknown; expected good or bad", "a.tsv", 7)

    monkeypatch.setitem(vars(classifiers), "evaluate", refuse)
    code, out, err = command("evaluate", "--run", "x", "--test", "a.tsv")
    assert (code, out, err) == (2, "", "error: a.tsv:7: label 'god' is unknown; expected good or bad\n")


# Reports ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--run", "x", "--train", "a"),
        ("pretrain", "--run", "x", "--text", "a"),
        ("evaluate", "--run", "x", "--test", "a"),
        ("quickstart",),
    ],
)
def test_json_is_alone_on_standard_output(stand_ins: StandIns, command: Command, arguments: tuple[str, ...]) -> None:
    code, out, _ = command(*arguments, "--json")
    assert code == 0
    assert out == '{"macro_f1": 0.915, "text": "Straße"}\n'


def test_quickstart_has_a_place_of_its_own(stand_ins: StandIns, command: Command) -> None:
    code, out, _ = command("quickstart")
    assert code == 0
    assert out.endswith("Next:\n  classifiers predict\n")
    assert command("quickstart", "--out", "there")[0] == 0
    assert [call[1] for call in stand_ins.calls] == [("quickstart/classifiers",), ("there",)]


def test_evaluate_hands_over_everything(stand_ins: StandIns, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifiers.evaluation.require_confusion", stand_ins.function("require_confusion"))
    code, out, _ = command("evaluate", "--run", "x", "--test", "t.tsv")
    assert code == 0
    assert "metric" in out and "macro F1" in out
    names = ("baseline", "format", "text_column", "label_column")
    assert stand_ins.calls == [("evaluate", ("x", "t.tsv"), {**dict.fromkeys(names), "by_length": False})]
    code, _, err = command(
        *("evaluate", "--run", "x", "--test", "t", "--baseline", "y", "--by-length", "--format", "csv"),
        *("--text-column", "review", "--label-column", "stars", "--plot", "c.png"),
    )
    assert code == 0, err
    checked, evaluated, plotted = stand_ins.calls[1:]
    assert checked == ("require_confusion", ("x",), {})
    options = {"baseline": "y", "by_length": True, "format": "csv", "text_column": "review", "label_column": "stars"}
    assert evaluated == ("evaluate", ("x", "t"), options)
    assert plotted == ("plot", ("c.png",), {})


def test_no_plot_of_several_labels_a_text(
    stand_ins: StandIns, command: Command, multi_label_run: Path, tmp_path: Path
) -> None:
    plot = tmp_path / "c.png"
    code, out, err = command("evaluate", "--run", str(multi_label_run), "--test", "t", "--plot", str(plot))
    assert (code, out) == (2, "")
    expected = f"{multi_label_run}: a text can have several labels, so there is no confusion matrix to plot"
    assert err == f"error: {expected}\n"
    assert stand_ins.calls == []


def test_export_prints_where_it_is(stand_ins: StandIns, command: Command) -> None:
    assert command("export", "--run", "x", "--out", "out") == (0, "out/1\n", "")
    assert command("export", "--run", "x", "--out", "out", "--json") == (0, '{"path": "out/1"}\n', "")
    assert stand_ins.calls[0] == ("export", ("x", "out"), {})


def test_export_keeps_the_newest(stand_ins: StandIns, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from textseq.serving import versions

    monkeypatch.setattr(versions, "keep_newest", stand_ins.function("keep_newest"))
    assert command("export", "--run", "x", "--out", "out", "--keep", "3") == (0, "out/1\n", "")
    assert stand_ins.calls == [("export", ("x", "out"), {}), ("keep_newest", (Path("out"), 3), {})]
    assert command("export", "--run", "x", "--out", "out", "--keep", "0")[0] == 2


# Predicting ---------------------------------------------------------------------------------------------------------


def test_predict_answers_line_by_line(stand_ins: StandIns, command: Command) -> None:
    code, out, err = command("predict", "--run", "x", given="ein Ü\r\n\nzwei\n \n".encode())
    assert code == 0
    assert out == "good\t0.7500\ngood\t0.7500\tempty: prior\ngood\t0.7500\ngood\t0.7500\tempty: prior\n"
    assert err == "note: 2 of 4 texts held nothing to read and got the labels' shares in the training text\n"
    assert stand_ins.calls == [
        ("load", ("x",), {}),
        ("predict", (["ein Ü", "", "zwei", " "],), {"abstain": False}),
    ]


def test_predict_abstains_and_says_what_is_unusual(stand_ins: StandIns, command: Command) -> None:
    _, out, err = command("predict", "--run", "x", "--abstain", given=b"?\nlong\nboth\nnone\n")
    assert out == (
        "\t0.7500\tnot confident enough\ngood\t0.7500\ttoo long: only the first part was read\n"
        "bad;good\t0.7500\n\t0.7500\n"
    )
    assert err == ""
    assert stand_ins.calls[1][2] == {"abstain": True}


def test_predict_reads_in_batches(stand_ins: StandIns, command: Command) -> None:
    command("predict", "--run", "x", "--lines-at-once", "2", given=b"1\n2\n3\n")
    command("predict", "--run", "x", given=b"1\n2\n", terminal=True)
    command("predict", "--run", "x", given=b"1\n" * (LINES_AT_ONCE + 1))
    sizes = [len(call[1][0]) for call in stand_ins.calls if call[0] == "predict"]
    assert sizes == [2, 1, 1, 1, LINES_AT_ONCE, 1]


def test_predict_as_json(stand_ins: StandIns, command: Command) -> None:
    _, out, _ = command("predict", "--run", "x", "--json", given="ä\n\n".encode())
    probabilities = {"bad": 0.25, "good": 0.75}
    plain = {"label": "good", "probability": 0.75, "probabilities": probabilities}
    assert [json.loads(line) for line in out.splitlines()] == [
        {"text": "ä", **plain},
        {"text": "", **plain, "empty": True},
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"\r")), max_size=6),
    form=st.sampled_from([(), ("--json",), ("--abstain",)]),
)
def test_predict_keeps_the_number_of_lines(
    stand_ins: StandIns, command: Command, lines: list[bytes], form: tuple[str, ...]
) -> None:
    code, out, _ = command("predict", "--run", "x", *form, given=b"".join(line + b"\n" for line in lines))
    assert code == 0
    assert out.count("\n") == len(out.splitlines()) == len(lines)


def test_predict_reads_and_writes_files(stand_ins: StandIns, command: Command, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write("eins\n\xff\n".encode("latin-1"))
    output = tmp_path / "out.tsv"
    code, out, err = command("predict", "--run", "x", "--input", str(tmp_path / "a.gz"), "--output", str(output))
    assert (code, out, err) == (0, "", "")
    assert output.read_text(encoding="utf-8") == "good\t0.7500\n" * 2
    assert stand_ins.calls[1][1] == (["eins", "\ufffd"],)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--input", "missing.txt"), "missing.txt: "),
        (("--output", "missing/out.txt"), "does not exist; make it first"),
        (("--run", "none"), "none: no run here"),
        (("--lines-at-once", "0"), "invalid value for '--lines-at-once': "),
    ],
)
def test_predict_refuses_what_does_not_fit(
    stand_ins: StandIns,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("predict", "--run", "x", *options, given=b"a\n")
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not [call for call in stand_ins.calls if call[0] == "predict"]


@pytest.mark.parametrize(("name", "option"), [("predict", "--output"), ("explain", "--html")])
def test_nothing_is_written_over_its_input(
    stand_ins: StandIns, command: Command, tmp_path: Path, name: str, option: str
) -> None:
    text = tmp_path / "text"
    text.write_text("a\n")
    code, _, err = command(name, "--run", "x", "--input", str(text), option, str(text))
    assert code == 2
    assert "is the input as well" in err
    assert text.read_text() == "a\n"


# Asking a server ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_server_and_a_run_answer_in_the_same_form(
    stand_ins: StandIns, command: Command, form: tuple[str, ...]
) -> None:
    given = "ein Ü\r\n\nlong\n\xff \n".encode()
    here = command("predict", "--run", "x", *form, given=given)
    there = command("predict", "--server", "grpc://h:1", "--model", "m", "--timeout", "3", *form, given=given)
    assert here == there
    assert stand_ins.calls[-3:] == [
        ("connect", ("grpc://h:1", "m"), {"timeout": 3.0}),
        ("predict", (["ein Ü", "", "long", "\xff "],), {}),
        ("close", (), {}),
    ]


def test_several_labels_of_a_server_are_joined_as_the_export_joins_them(stand_ins: StandIns, command: Command) -> None:
    given = b"both\nnone\n"
    here = command("predict", "--run", "x", given=given)
    assert command("predict", "--server", "http://h:1", given=given) == here == (0, "bad;good\t0.7500\n\t0.7500\n", "")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "received neither of --run and --server, expected one: --run DIR, or --server URL"),
        (("--server", "http://h:1", "--run", "x"), 2, "received both of --run and --server, expected one"),
        (("--run", "x", "--model", "m"), 2, "--model is the name on a server; add --server, or leave it out"),
        (("--server", "http://h:1", "--abstain"), 2, "--abstain with --server: an export answers always"),
        (("--server", "http://nobody:1"), 1, "http://nobody:1: no connection"),
    ],
)
def test_a_server_is_asked_for_what_it_has(
    stand_ins: StandIns, command: Command, options: tuple[str, ...], code: int, message: str
) -> None:
    received, out, err = command("predict", *options, given=b"a\n")
    assert (received, out) == (code, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not [call for call in stand_ins.calls if call[0] == "predict"]


# Explaining ---------------------------------------------------------------------------------------------------------


def test_explain_on_a_terminal_is_coloured(
    stand_ins: StandIns, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, out, _ = command("explain", "--run", "x", given=b"fine\n", terminal=True)
    assert "\x1b[" in out and "fine" in out and "good 0.75, by gradients" in out


def test_explain_to_a_file_is_plain(stand_ins: StandIns, command: Command) -> None:
    code, out, err = command("explain", "--run", "x", "--method", "gradients", given="schön\n\n".encode())
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == ["good 0.75, by gradients", "schön"]
    assert "\x1b" not in out
    assert "empty: prior" in out
    assert stand_ins.calls[1] == ("explain", (["schön", ""],), {"method": "gradients", "label": None})


def test_explain_writes_a_file_without_colour(stand_ins: StandIns, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "explained.txt"
    code, shown, err = command("explain", "--run", "r", "--output", str(out), given=b"fine\n", terminal=True)
    assert (code, shown, err) == (0, "", "")
    assert out.read_text(encoding="utf-8") == command("explain", "--run", "r", given=b"fine\n")[1]
    assert "\x1b" not in out.read_text(encoding="utf-8")


def test_explain_writes_a_page_and_json_beside_it(stand_ins: StandIns, command: Command, tmp_path: Path) -> None:
    page, out = tmp_path / "page.html", tmp_path / "out.jsonl"
    options = ("--html", str(page), "--output", str(out))
    code, shown, err = command("explain", "--run", "r", *options, given=b"fine\n")
    assert (code, shown) == (2, "")
    assert "--output with --html: the page holds all; leave --output out, or add --json for both" in err
    assert command("explain", "--run", "r", *options, "--json", given=b"fine\n") == (0, "", "")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert json.loads(out.read_text(encoding="utf-8"))["label"] == "good"


def test_explain_as_json_is_a_line_for_each(stand_ins: StandIns, command: Command) -> None:
    _, out, _ = command("explain", "--run", "x", "--label", "good", "--json", given="fine\u2028day\n\n".encode())
    first, second = map(json.loads, out.splitlines())
    assert first["words"] == [{"word": "fine\u2028day", "weight": 1.5, "start": 0, "end": 8}]
    assert (second["words"], second["method"]) == ([], "gradients")
    assert stand_ins.calls[1][2] == {"method": None, "label": "good"}


def test_explain_writes_a_page(stand_ins: StandIns, command: Command, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert command("explain", "--run", "x", "--html", str(page), given=b"a <b\nfine\n") == (0, f"{page}\n", "")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "a &lt;b" in text and "fine" in text
    code, out, _ = command("explain", "--run", "x", "--html", str(page), "--json", given=b"fine\n")
    assert code == 0
    assert json.loads(out)["label"] == "good"


def test_explain_knows_two_methods(stand_ins: StandIns, command: Command) -> None:
    code, out, err = command("explain", "--run", "x", "--method", "magic", given=b"fine\n")
    assert (code, out) == (2, "")
    expected = "invalid value for '--method': 'magic' is not one of 'attention', 'gradients'"
    assert err == f"error: {expected}; see `classifiers explain --help`\n"


# The program --------------------------------------------------------------------------------------------------------


def test_no_command_names_them_all(command: Command) -> None:
    code, out, err = command()
    assert (code, out) == (2, "")
    assert err == f"error: no command; expected one of {', '.join(COMMANDS)}; see `classifiers --help`\n"
    assert [each.callback.__name__ for each in cli.app.registered_commands if each.callback] == list(COMMANDS)


def test_version(command: Command) -> None:
    assert command("--version") == (0, f"dragoman {classifiers.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(command: Command, name: str) -> None:
    code, out, err = command(name, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: classifiers {name}" in out


def test_a_run_that_was_trained_is_read_from_the_command_line(tiny_run: Path, command: Command) -> None:
    code, out, err = command("predict", "--run", str(tiny_run), given=b"a lovely film\n\n")
    assert code == 0, err
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[0] in ("negative", "neutral", "positive") for line in lines] == [True, True]
    assert lines[1][2] == "empty: prior"
    code, out, err = command("explain", "--run", str(tiny_run), "--json", "--method", "attention", given=b"a film\n")
    assert code == 0, err
    assert [word["word"] for word in json.loads(out)["words"]] == ["a", "film"]
    code, out, err = command("explain", "--run", str(tiny_run), "--json", "--label", "neutral", given=b"a film\n")
    assert (code, json.loads(out)["label"]) == (0, "neutral"), err
    code, out, err = command("explain", "--run", str(tiny_run), "--label", "none", given=b"a film\n")
    assert (code, out) == (2, "")
    assert err == "error: unknown label 'none'; the run knows 'negative', 'neutral', 'positive'\n"
