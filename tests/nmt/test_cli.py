"""The command line against stand-ins for the library: what it parses, what it calls, what it prints."""

from __future__ import annotations

import gzip
import json
import lzma
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nmt
from nmt import cli
from tests.command_line_stand_ins import Command, FakeConfig, FakeModel, StandIns, command_of
from tests.textseq.serving.stub_server import Stub, rest_server
from textseq.command_line import LINES_AT_ONCE

COMMANDS = ("quickstart", "train", "translate", "evaluate", "score", "export", "serve", "rollback")


class Report:
    COLUMNS = ("metric", "value")

    def to_dict(self) -> dict[str, Any]:
        return {"bleu": 36.5, "text": "Straße"}

    def rows(self) -> list[tuple[str, object]]:
        return [("BLEU", 36.5), ("signature", "nrefs:1|case:mixed")]

    def next_steps(self) -> str:
        return "Next:\n  nmt translate\n"


def translation(text: str, n_best: Sequence[str] = ()) -> SimpleNamespace:
    best = tuple(translation(each) for each in n_best)
    plain = {"translation": text, "n_best": [each.text for each in best], "attention": [[1.0]]}
    return SimpleNamespace(text=text, n_best=best, alignment=[(0, 0), (2, 1)], to_dict=lambda: plain)


class FakeTranslator(FakeModel):
    aligns = True

    def translate(self, lines: Sequence[str], **options: Any) -> list[SimpleNamespace]:
        self.stand_ins.calls.append(("translate", (list(lines),), options))
        count = options["n_best"]
        return [translation(f"<{line}>", [f"<{line}>{rank}" for rank in range(count)]) for line in lines]

    def sample(self, lines: Sequence[str], **options: Any) -> list[SimpleNamespace]:
        self.stand_ins.calls.append(("sample", (list(lines),), options))
        return [translation(line.upper()) for line in lines]


class FakeRemote(FakeModel):
    """A translator on a server, whose beam holds two."""

    aligns = True

    def translate(self, lines: Sequence[str], **options: Any) -> list[SimpleNamespace]:
        self.stand_ins.calls.append(("translate", (list(lines),), options))
        count = min(options["n_best"], 2)
        return [translation(f"<{line}>", [f"<{line}>{rank}" for rank in range(count)]) for line in lines]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    stand_ins = StandIns()
    names: dict[str, object] = {
        "train": stand_ins.function("train", Report()),
        "evaluate": stand_ins.function("evaluate", Report()),
        "quickstart": stand_ins.function("quickstart", Report()),
        "export": stand_ins.function("export", Path("out/1")),
        "combined_export": stand_ins.function("combined_export", Path("out/1")),
        "score": stand_ins.function("score", iter([-1.5, float("-inf")])),
        "Config": FakeConfig,
        "Translator": FakeTranslator(stand_ins),
        "RemoteTranslator": FakeRemote(stand_ins),
    }
    stand_ins.replace(monkeypatch, nmt, names)
    return stand_ins


@pytest.fixture
def nmt_command(monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_of(cli.app, "nmt", ("train",), monkeypatch)


def test_train_hands_over_files_and_settings(stand_ins: StandIns, nmt_command: Command) -> None:
    code, out, err = nmt_command(
        *("train", "--source", "a.en", "--target", "a.de", "--valid-source", 'v".en', "--valid-target", "v.de"),
        *("--run", "runs/x", "--set", "training.epochs=3", "--set", "corpus.source=b.en"),
    )
    assert code == 0, err
    ((name, (config, run), options),) = stand_ins.calls
    assert (name, run, options) == ("train", "runs/x", {})
    assert config.source == "defaults"
    assert config.overrides == [
        'corpus.source="a.en"',
        'corpus.target="a.de"',
        'corpus.valid_source="v\\".en"',
        'corpus.valid_target="v.de"',
        "training.epochs=3",
        "corpus.source=b.en",
    ]
    assert err == "train begins\n"
    assert "BLEU" in out


def test_train_takes_a_configuration_file(stand_ins: StandIns, nmt_command: Command) -> None:
    assert nmt_command("train", "--config", "my.toml", "--run", "runs/x", "--json")[0] == 0
    config = stand_ins.calls[0][1][0]
    assert (config.source, config.overrides) == ("my.toml", [])


def test_train_resumes_a_run_by_its_name_alone(stand_ins: StandIns, nmt_command: Command, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    assert nmt_command("train", "--run", str(tmp_path), "--set", "training.epochs=3")[0] == 0
    config = stand_ins.calls[0][1][0]
    assert (config.source, config.overrides) == (str(tmp_path / "config.toml"), ["training.epochs=3"])


def test_train_on_nothing_says_what_to_give(stand_ins: StandIns, nmt_command: Command, tmp_path: Path) -> None:
    code, out, err = nmt_command("train", "--run", str(tmp_path / "x"))
    assert (code, out) == (2, "")
    assert err == (
        f"error: {tmp_path / 'x'}: no run here to resume, and no text to train on; give --source, or --config\n"
    )
    assert stand_ins.calls == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--run", "x", "--source", "a"),
        ("evaluate", "--run", "x", "--source", "a", "--reference", "b"),
        ("quickstart",),
    ],
)
def test_json_is_alone_on_standard_output(
    stand_ins: StandIns, nmt_command: Command, arguments: tuple[str, ...]
) -> None:
    code, out, _ = nmt_command(*arguments, "--json")
    assert code == 0
    assert out == '{"bleu": 36.5, "text": "Straße"}\n'


def test_train_interrupted_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, nmt_command: Command) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(vars(nmt), "train", interrupted)
    monkeypatch.setitem(vars(nmt), "Config", FakeConfig)
    code, out, err = nmt_command("train", "--run", "x", "--source", "a")
    assert (code, out, err) == (130, "", "interrupted; run the same command to resume\n")


def test_quickstart_has_a_place_of_its_own(stand_ins: StandIns, nmt_command: Command) -> None:
    code, out, _ = nmt_command("quickstart")
    assert code == 0
    assert out.endswith("Next:\n  nmt translate\n")
    assert nmt_command("quickstart", "--out", "there")[0] == 0
    assert [call[1] for call in stand_ins.calls] == [("quickstart/nmt",), ("there",)]


def test_evaluate_hands_over_everything(stand_ins: StandIns, nmt_command: Command) -> None:
    plain = ("evaluate", "--run", "x", "--source", "a", "--reference", "b")
    code, out, _ = nmt_command(*plain)
    assert code == 0
    assert "metric" in out and "BLEU" in out and "36.50" in out and "nrefs:1|case:mixed" in out
    code, _, _ = nmt_command(
        *(*plain, "--beam", "5", "--lowercase", "--tokenize", "zh", "--baseline", "h.txt", "--by-length")
    )
    assert code == 0
    first, second = stand_ins.calls
    assert first[1] == second[1] == ("x", "a", "b")
    assert first[2] == {"beam": None, "lowercase": False, "tokenize": "13a", "baseline": None, "by_length": False}
    assert second[2] == {"beam": 5, "lowercase": True, "tokenize": "zh", "baseline": "h.txt", "by_length": True}


def test_score_prints_a_number_a_line(stand_ins: StandIns, nmt_command: Command) -> None:
    code, out, _ = nmt_command("score", "--run", "x", "--source", "a", "--target", "b")
    assert (code, out) == (0, "-1.500000\n-inf\n")
    assert stand_ins.calls == [("score", ("x", "a", "b"), {})]


def test_score_as_json_is_strict(stand_ins: StandIns, nmt_command: Command) -> None:
    _, out, _ = nmt_command("score", "--run", "x", "--source", "a", "--target", "b", "--json")
    assert out == '{"log_probability": -1.5}\n{"log_probability": null}\n'


def test_export_prints_where_it_is(stand_ins: StandIns, nmt_command: Command) -> None:
    assert nmt_command("export", "--run", "x", "--out", "out") == (0, "out/1\n", "")
    assert nmt_command("export", "--run", "x", "--out", "out", "--json") == (0, '{"path": "out/1"}\n', "")
    assert stand_ins.calls[0] == ("export", ("x", "out"), {})


def test_export_takes_a_classifier_along(stand_ins: StandIns, nmt_command: Command) -> None:
    assert nmt_command("export", "--run", "x", "--out", "out", "--classifier", "exported")[0] == 0
    assert stand_ins.calls == [("combined_export", ("x", "exported", "out"), {})]


def test_export_keeps_the_newest(stand_ins: StandIns, nmt_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from textseq.serving import versions

    monkeypatch.setattr(versions, "keep_newest", stand_ins.function("keep_newest"))
    assert nmt_command("export", "--run", "x", "--out", "out", "--keep", "3") == (0, "out/1\n", "")
    assert stand_ins.calls == [("export", ("x", "out"), {}), ("keep_newest", (Path("out"), 3), {})]
    assert nmt_command("export", "--run", "x", "--out", "out", "--keep", "0")[0] == 2


def test_translate_answers_line_by_line(stand_ins: StandIns, nmt_command: Command) -> None:
    code, out, err = nmt_command("translate", "--run", "x", given="ein Ü\r\n\nzwei".encode())
    assert (code, err) == (0, "")
    assert out == "<ein Ü>\n<>\n<zwei>\n"
    assert stand_ins.calls == [
        ("load", ("x",), {}),
        ("translate", (["ein Ü", "", "zwei"],), {"beam": None, "n_best": 1, "attention": False}),
    ]


def test_translate_reads_in_batches(stand_ins: StandIns, nmt_command: Command) -> None:
    nmt_command("translate", "--run", "x", "--lines-at-once", "2", "--beam", "4", given=b"1\n2\n3\n")
    nmt_command("translate", "--run", "x", given=b"1\n2\n", terminal=True)
    nmt_command("translate", "--run", "x", given=b"1\n" * (LINES_AT_ONCE + 1))
    sizes = [len(call[1][0]) for call in stand_ins.calls if call[0] == "translate"]
    assert sizes == [2, 1, 1, 1, LINES_AT_ONCE, 1]
    assert stand_ins.calls[1][2]["beam"] == 4


HOSTILE = [
    b"x" * 100_000,
    b"nul \x00 nul",
    b"surrogate \xed\xa0\x80",
    b"latin \xe4",
    b"\r",
    b"",
    b"form\x0cfeed",
    "line\u2028separator\x85".encode(),
    b"old mac\rline",
    b"\xef\xbb\xbfmark",
]


def test_translate_gives_one_line_for_each_whatever_it_holds(stand_ins: StandIns, nmt_command: Command) -> None:
    code, out, err = nmt_command("translate", "--run", "x", given=b"\n".join(HOSTILE) + b"\n")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(HOSTILE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"\r")), max_size=6),
    form=st.sampled_from([(), ("--json",), ("--align",), ("--n-best", "3"), ("--sample",)]),
)
def test_translate_keeps_the_number_of_lines(
    stand_ins: StandIns, nmt_command: Command, lines: list[bytes], form: tuple[str, ...]
) -> None:
    code, out, _ = nmt_command("translate", "--run", "x", *form, given=b"".join(line + b"\n" for line in lines))
    assert code == 0
    assert out.count("\n") == len(lines)
    if form != ("--json",):
        assert len(out.splitlines()) == len(lines)


def test_translate_aligns(stand_ins: StandIns, nmt_command: Command) -> None:
    _, out, _ = nmt_command("translate", "--run", "x", "--align", given=b"a\tb\n")
    assert out == "<a b>\t0-0 2-1\n"
    assert stand_ins.calls[1][2]["attention"] is True


def test_translate_gives_the_best_few(stand_ins: StandIns, nmt_command: Command) -> None:
    _, out, _ = nmt_command("translate", "--run", "x", "--n-best", "2", given=b"a\tb\n")
    assert out == "<a b>0\t<a b>1\n"


def test_translate_as_json(stand_ins: StandIns, nmt_command: Command) -> None:
    _, out, _ = nmt_command("translate", "--run", "x", "--n-best", "2", "--json", given="ä\n\n".encode())
    assert [json.loads(line) for line in out.splitlines()] == [
        {"translation": "<ä>", "n_best": ["<ä>0", "<ä>1"]},
        {"translation": "<>", "n_best": ["<>0", "<>1"]},
    ]
    assert stand_ins.calls[1][2] == {"beam": None, "n_best": 2, "attention": True}


def test_a_run_without_attention_gives_json_without_alignment(stand_ins: StandIns, nmt_command: Command) -> None:
    vars(nmt)["Translator"].aligns = False
    assert nmt_command("translate", "--run", "x", "--json", given=b"a\n")[0] == 0
    assert stand_ins.calls[1][2]["attention"] is False


def test_translate_draws(stand_ins: StandIns, nmt_command: Command) -> None:
    options = ("--temperature", "0.7", "--top-k", "5", "--top-p", "0.9", "--seed", "3", "--lines-at-once", "1")
    _, out, _ = nmt_command("translate", "--run", "x", "--sample", *options, given=b"a\na\n")
    nmt_command("translate", "--run", "x", "--sample", given=b"a\n")
    assert out == "A\nA\n"
    draws = [call[2] for call in stand_ins.calls if call[0] == "sample"]
    assert draws == [
        {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "seed": 3, "first_line": 0},
        {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "seed": 3, "first_line": 1},
        {"temperature": 1.0, "top_k": None, "top_p": 1.0, "seed": 0, "first_line": 0},
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--align", "--n-best", "2"),
            "--align with --n-best 2 or more does not fit one line of text; add --json",
        ),
        (
            ("--sample", "--beam", "2"),
            "--sample draws one translation a line; leave out --beam, --n-best and --align",
        ),
        (("--seed", "2"), "--temperature, --top-k, --top-p and --seed are for sampling; add --sample"),
        (("--input", "missing.txt"), "missing.txt: "),
        (("--output", "missing/out.txt"), "does not exist; make it first"),
        (("--run", "none"), "none: no run here"),
        (("--beam", "0"), "invalid value for '--beam': "),
    ],
)
def test_translate_refuses_what_does_not_fit(
    stand_ins: StandIns,
    nmt_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = nmt_command("translate", "--run", "x", *options, given=b"a\n")
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not [call for call in stand_ins.calls if call[0] == "translate"]


def test_a_server_translates_line_by_line(stand_ins: StandIns, nmt_command: Command) -> None:
    code, out, err = nmt_command("translate", "--server", "http://h:1", given="ein Ü\r\n\nzwei".encode())
    assert (code, out, err) == (0, "<ein Ü>\n<>\n<zwei>\n", "")
    assert stand_ins.calls == [
        ("connect", ("http://h:1", None), {"timeout": 60.0}),
        ("translate", (["ein Ü", "", "zwei"],), {"n_best": 1, "attention": False}),
        ("close", (), {}),
    ]


@pytest.mark.parametrize("form", [(), ("--json",), ("--align",), ("--n-best", "2"), ("--n-best", "2", "--json")])
def test_a_server_and_a_run_answer_in_the_same_form(
    stand_ins: StandIns, nmt_command: Command, form: tuple[str, ...]
) -> None:
    given = b"\n".join(HOSTILE) + b"\n"
    here = nmt_command("translate", "--run", "x", *form, given=given)
    there = nmt_command("translate", "--server", "grpc://h:1", "--model", "m", "--timeout", "3", *form, given=given)
    assert here == there
    assert ("connect", ("grpc://h:1", "m"), {"timeout": 3.0}) in stand_ins.calls
    (_, (first,), asked), (_, (second,), asked_there) = [call for call in stand_ins.calls if call[0] == "translate"]
    assert first == second
    assert asked == {**asked_there, "beam": None}


def test_a_server_that_gives_fewer_says_so_once(stand_ins: StandIns, nmt_command: Command) -> None:
    options = ("--server", "http://h:1", "--n-best", "5", "--lines-at-once", "1")
    code, out, err = nmt_command("translate", *options, given=b"a\nb\n")
    assert (code, out) == (0, "<a>0\t<a>1\n<b>0\t<b>1\n")
    assert err == "note: the export gives at most 2 translations of a line, which its beam holds\n"


def test_an_older_export_gives_json_without_alignment(stand_ins: StandIns, nmt_command: Command) -> None:
    vars(nmt)["RemoteTranslator"].aligns = False
    assert nmt_command("translate", "--server", "http://h:1", "--json", given=b"a\n")[0] == 0
    assert stand_ins.calls[1][2] == {"n_best": 1, "attention": False}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "received neither of --run and --server, expected one: --run DIR, or --server URL"),
        (("--server", "http://h:1", "--run", "x"), 2, "received both of --run and --server, expected one"),
        (("--run", "x", "--model", "m"), 2, "--model is the name on a server; add --server, or leave it out"),
        (("--server", "http://h:1", "--beam", "2"), 2, "--beam with --server: an export searches as its run does"),
        (("--server", "http://h:1", "--sample"), 2, "--sample with --server: an export searches as its run does"),
        (("--server", "http://h:1", "--seed", "1"), 2, "are for sampling; add --sample"),
        (("--server", "http://nobody:1"), 1, "http://nobody:1: no connection"),
    ],
)
def test_a_server_is_asked_for_what_it_has(
    stand_ins: StandIns, nmt_command: Command, options: tuple[str, ...], code: int, message: str
) -> None:
    received, out, err = nmt_command("translate", *options, given=b"a\n")
    assert (received, out) == (code, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not [call for call in stand_ins.calls if call[0] == "translate"]


WITHOUT_TENSORFLOW = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "tensorflow_text", "tensorflow_serving", "jax"):
            raise ImportError(f"{name} may not be imported")

sys.meta_path.insert(0, Refuse())
from nmt.cli import main
main()
"""


def test_a_server_is_asked_where_tensorflow_cannot_be_imported() -> None:
    stub = Stub(models=("nmt",))
    with rest_server(stub):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_TENSORFLOW, "translate", "--server", stub.rest, "--n-best", "2"],
            input=b"a dog\n\n",
            capture_output=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == "a dog0\ta dog1\n0\t1\n"


@pytest.mark.parametrize(("name", "opened"), [("a.txt", open), ("a.gz", gzip.open), ("a.xz", lzma.open)])
def test_translate_reads_and_writes_files(
    stand_ins: StandIns, nmt_command: Command, tmp_path: Path, name: str, opened: Callable[..., Any]
) -> None:
    with opened(tmp_path / name, "wb") as file:
        file.write("eins\n\xff\n".encode("latin-1"))
    output = tmp_path / "out.txt"
    code, out, err = nmt_command("translate", "--run", "x", "--input", str(tmp_path / name), "--output", str(output))
    assert (code, out, err) == (0, "", "")
    assert output.read_text(encoding="utf-8") == "<eins>\n<\ufffd>\n"


def truncated_files() -> Iterator[tuple[str, bytes, str]]:
    text = b"".join(b"line %d\n" % number for number in range(5000))
    yield "a.gz", gzip.compress(text)[:-20], "the compressed file is truncated: its data end too early; make or fetch"
    yield "a.xz", lzma.compress(text)[:-20], "the compressed file is truncated: its data end too early; make or fetch"
    yield "b.gz", text, "its name ends in .gz, but its content is not; make it again, or rename it"
    middle = gzip.compress(text)
    yield "c.gz", middle[:40] + bytes(60) + middle[100:], "the compressed data are damaged ("


@pytest.mark.parametrize(("name", "content", "message"), list(truncated_files()))
def test_translate_of_a_truncated_file_writes_nothing_over(
    stand_ins: StandIns, nmt_command: Command, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    output = tmp_path / "out.txt"
    output.write_text("old")
    code, _, err = nmt_command("translate", "--run", "x", "--input", str(tmp_path / name), "--output", str(output))
    assert code == 2
    assert err.startswith(f"error: {tmp_path / name}: {message}") and err.count("\n") == 1
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "out.txt"]


def test_no_command_names_them_all(nmt_command: Command) -> None:
    code, out, err = nmt_command()
    assert (code, out) == (2, "")
    assert err == f"error: no command; expected one of {', '.join(COMMANDS)}; see `nmt --help`\n"
    assert [each.callback.__name__ for each in cli.app.registered_commands if each.callback] == list(COMMANDS)


def test_version(nmt_command: Command) -> None:
    assert nmt_command("--version") == (0, f"dragoman {nmt.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(nmt_command: Command, name: str) -> None:
    code, out, err = nmt_command(name, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: nmt {name}" in out
    assert not re.search(r"<\w", out)  # types in place of names


def test_translate_does_not_write_over_its_input(stand_ins: StandIns, nmt_command: Command, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("a\n")
    code, _, err = nmt_command("translate", "--run", "x", "--input", str(text), "--output", str(text))
    assert code == 2
    assert "is the input as well" in err
    assert text.read_text() == "a\n"
