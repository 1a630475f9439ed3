"""Configuration: closed, validated, written and read back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from textseq.configuration import Configuration
from textseq.errors import ConfigurationError


class Clipping(Configuration):
    """A section in a section."""

    norm: float | None = Field(1.0, gt=0, description="Global norm of the gradient.", json_schema_extra={"none": "off"})


class Training(Configuration):
    """A section."""

    epochs: int = Field(20, ge=1, le=1000, description="Passes over the corpus.")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="Peak of the schedule.")
    average: bool = Field(True, description="Keep a moving average of the weights.")
    clipping: Clipping = Field(Clipping(), description="How gradients are kept small.")


class Model(Configuration):
    """Another section."""

    cell: Literal["gru", "lstm"] = Field("gru", description="The recurrent cell.")
    units: int | None = Field(None, ge=1, description="Width of the states.")
    seeds: tuple[int, ...] = Field((1, 2), description="Some numbers.")

    @model_validator(mode="after")
    def _check(self) -> Model:
        if self.units == 13:
            raise ValueError("units is 13, which is unlucky; expected another width")
        return self


class Run(Configuration):
    """The whole."""

    name: str = Field("run", description="What the run is called.")
    note: str | None = Field(None, description="A remark.", json_schema_extra={"none": "no remark"})
    model: Model = Field(Model(), description="The network.")
    training: Training = Field(Training(), description="How it is trained.")


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_bytes(text.encode("utf-8"))
    return path


def message_of(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        Run.from_toml(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), "run.toml")


def test_missing_keys_keep_their_defaults(tmp_path: Path) -> None:
    run = Run.from_toml(write(tmp_path, "[training]\nepochs = 3\n"))
    assert run == Run(training=Training(epochs=3))
    assert run.model == Model()


def test_every_key_stands_under_its_description() -> None:
    lines = Run().to_toml().split("\n")
    assert lines[lines.index("epochs = 20") - 1] == "# Passes over the corpus."
    assert lines[lines.index("[training]") - 1] == "# How it is trained."
    assert "[training.clipping]" in lines
    assert lines[lines.index("# units = chosen from the corpus") - 1] == "# Width of the states."
    assert "# note = no remark" in lines


def test_a_none_that_is_not_the_default_is_written_out(tmp_path: Path) -> None:
    run = Run(training=Training(clipping=Clipping(norm=None)))
    assert 'norm = "none"' in run.to_toml()
    assert Run.from_toml(write(tmp_path, run.to_toml())) == run


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    run=st.builds(
        Run,
        name=TEXTS,
        note=st.none() | TEXTS,
        model=st.builds(
            Model,
            cell=st.sampled_from(["gru", "lstm"]),
            units=st.none() | st.integers(14, 10**20),
            seeds=st.lists(st.integers()).map(tuple),
        ),
        training=st.builds(
            Training,
            epochs=st.integers(1, 1000),
            learning_rate=st.floats(0, 1, exclude_min=True, exclude_max=True),
            average=st.booleans(),
            clipping=st.builds(Clipping, norm=st.none() | st.floats(1e-300, 1e300)),
        ),
    )
)
def test_round_trip_is_exact(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.getbasetemp(), run.to_toml())
    again = Run.from_toml(path)
    assert again == run
    assert again.to_toml() == run.to_toml()
    assert again.difference(run) == []


def test_a_byte_order_mark_and_carriage_returns_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffname = 'x'\r\n[training]\r\nepochs = 3\r\n")
    assert Run.from_toml(path) == Run(name="x", training=Training(epochs=3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[training]\nepocs = 3\n",
            "run.toml:2: unknown key training.epocs; did you mean training.epochs?",
        ),
        ("[training]\nunits = 3\n", "run.toml:2: unknown key training.units; did you mean model.units?"),
        ("epochs = 3\n", "run.toml:1: unknown key epochs; did you mean training.epochs?"),
        ("\n[trainig]\nepochs = 3\n", "run.toml:2: unknown key trainig; did you mean training?"),
        (
            "[model]\nxyzzy = 3\n",
            "run.toml:2: unknown key model.xyzzy; expected one of model.cell, model.units, model.seeds",
        ),
        (
            "[training.clipping]\nnrm = 1\n",
            "run.toml:2: unknown key training.clipping.nrm; did you mean training.clipping.norm?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_a_suggestion(tmp_path: Path, text: str, expected: str) -> None:
    assert message_of(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[training]\n\nepochs = -3\n", "run.toml:3: training.epochs: received -3, expected 1 or more"),
        ("training.epochs = 1001\n", "run.toml:1: training.epochs: received 1001, expected 1000 or less"),
        (
            "[training.clipping]\nnorm = 0\n[training]\n",
            "run.toml:2: training.clipping.norm: received 0, expected more than 0.0",
        ),
        ("training = {epochs = 0}\n", "run.toml:1: training.epochs: received 0, expected 1 or more"),
        ("[training]\nlearning_rate = 0\n", "run.toml:2: training.learning_rate: received 0, expected more than 0.0"),
        ("[training]\nlearning_rate = 1\n", "run.toml:2: training.learning_rate: received 1, expected less than 1.0"),
        (
            "[training]\nlearning_rate = nan\n",
            "run.toml:2: training.learning_rate: received NaN, expected a finite number",
        ),
        ("[training]\nepochs = 1.5\n", "run.toml:2: training.epochs: received 1.5, expected a whole number"),
        ("[training]\nepochs = 'x'\n", 'run.toml:2: training.epochs: received "x", expected a whole number'),
        ("[training]\nepochs = true\n", "run.toml:2: training.epochs: received true, expected a number"),
        ("[training]\naverage = 3\n", "run.toml:2: training.average: received 3, expected true or false"),
        (
            "[training.clipping]\nnorm = inf\n",
            "run.toml:2: training.clipping.norm: received Infinity, expected a finite number",
        ),
        ("name = 3\n", "run.toml:1: name: received 3, expected a text in quotes"),
        ("training = 3\n", "run.toml:1: training: received 3, expected a section of keys"),
        ("[model]\ncell = 'rnn'\n", "run.toml:2: model.cell: received \"rnn\", expected 'gru' or 'lstm'"),
        ("[model]\nseeds = 3\n", "run.toml:2: model.seeds: received 3, expected an array such as [1, 2]"),
        ("[model]\nseeds = [1, 'x']\n", 'run.toml:2: model.seeds[1]: received "x", expected a whole number'),
        ("[model]\nunits = 13\n", "run.toml:1: model: units is 13, which is unlucky; expected another width"),
    ],
)
def test_a_refused_value_is_explained_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    assert message_of(tmp_path, text) == expected


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert message_of(tmp_path, "nme = 1\n[training]\nepochs = 0\n") == (
        "run.toml:3: training.epochs: received 0, expected 1 or more; "
        "and run.toml:1: unknown key nme; did you mean name?"
    )


def test_a_long_value_is_cut_short(tmp_path: Path) -> None:
    message = message_of(tmp_path, f"[training]\nepochs = '{'x' * 1000}'\n")
    assert len(message) < 150
    assert "xxx..." in message


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb ==\n", 2), ("[training\n", 1), ("a = 1\na = 2\n", 2), ("\n\nx = [1,\n", 4), ("a = '\x00'\n", 1)],
)
def test_wrong_toml_is_named_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert message_of(tmp_path, text).startswith(f"run.toml:{line}: not valid TOML")


def test_invalid_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(b"name = 'a'\nnote = '\xff'\n")
    with pytest.raises(ConfigurationError, match=r"run.toml:2: not valid UTF-8; save the file as UTF-8"):
        Run.from_toml(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.toml: no such file; expected a configuration in TOML"):
        Run.from_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match=r"is a folder; expected a configuration file in TOML"):
        Run.from_toml(tmp_path)


def test_the_constructor_raises_the_same_errors() -> None:
    with pytest.raises(ConfigurationError, match=r"^epochs: received 0, expected 1 or more$"):
        Training(epochs=0)
    with pytest.raises(ConfigurationError, match=r"^unknown key training.epocs; did you mean training.epochs\?$"):
        Run(training={"epocs": 3})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"^units is 13, which is unlucky; expected another width$"):
        Model(units=13)


def test_a_key_without_a_default_is_asked_for() -> None:
    class Required(Configuration):
        path: str

    with pytest.raises(ConfigurationError, match=r"^path: missing; it has no default, so give it a value$"):
        Required()  # type: ignore[call-arg]


def test_overrides_are_read_as_toml_and_else_as_text() -> None:
    run = Run().with_overrides(
        ["training.epochs=30", "name=a plain text", "model.seeds=[3]", "training.average = false", "model.cell=lstm"]
    )
    assert run == Run(
        name="a plain text", model=Model(seeds=(3,), cell="lstm"), training=Training(epochs=30, average=False)
    )
    assert Run().training.epochs == 20


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("name=123", "123"),
        ("name=true", "true"),
        ('name="true"', "true"),
        ("name=a=b", "a=b"),
        ("name=", ""),
        ("name=# x", "# x"),
    ],
)
def test_a_text_needs_no_quotes(override: str, name: str) -> None:
    assert Run().with_overrides([override]).name == name


def test_the_last_override_holds_and_none_is_none() -> None:
    run = Run().with_overrides(["training.epochs=1", "training.epochs=2", "training.clipping.norm=none"])
    assert run.training.epochs == 2
    assert run.training.clipping.norm is None
    assert Run(note="none").note is None


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs", "override 'training.epochs': expected key=value, such as name=VALUE"),
        ("=3", "override '=3': expected key=value, such as name=VALUE"),
        (
            "model=3",
            "override 'model=3': model is a section; override one of its keys: model.cell, model.units, model.seeds",
        ),
        ("training.epocs=3", "unknown key training.epocs; did you mean training.epochs?"),
        ("trainin.epochs=3", "unknown key trainin; did you mean training?"),
        ("training.epochs=-3", "training.epochs: received -3, expected 1 or more"),
        ("training.epochs=many", 'training.epochs: received "many", expected a whole number'),
        ("name.x=3", "name: received {'x': 3}, expected a text in quotes"),
    ],
)
def test_a_wrong_override_is_explained(override: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Run().with_overrides([override])
    assert str(caught.value) == expected


def test_choices_fill_what_is_open() -> None:
    choices = {"model.units": 320, "note": "chosen", "training.epochs": 3, "training.clipping.norm": 5.0}
    assert Run().with_choices(choices) == Run(note="chosen", model=Model(units=320))
    given = Run(note="given", model=Model(units=7), training=Training(clipping=Clipping(norm=None)))
    chosen = given.with_choices(choices)
    assert chosen == Run(note="given", model=Model(units=7), training=Training(clipping=Clipping(norm=5.0)))
    assert chosen.with_choices({"model.units": 1}) == chosen
    assert Run().with_choices({}) == Run()


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"model.units": 0}, "model.units: received 0, expected 1 or more"),
        ({"model.unit": 3}, "unknown key model.unit; did you mean model.units?"),
        ({"modle.units": 3}, "unknown key modle; did you mean model?"),
        ({"model.units": 13}, "model: units is 13, which is unlucky; expected another width"),
    ],
)
def test_a_wrong_choice_is_explained(choices: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Run().with_choices(choices)
    assert str(caught.value) == expected


def test_the_difference_names_each_key() -> None:
    other = Run(name="x", model=Model(units=320), training=Training(epochs=30))
    assert Run().difference(other) == ['name: "run" -> "x"', "model.units: none -> 320", "training.epochs: 20 -> 30"]
    assert Clipping().difference(Model(cell="lstm"))[0] == "norm: 1.0 -> absent"


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Run().name = "other"  # type: ignore[misc]


def test_the_import_is_quick_and_light() -> None:
    # Processor time, because wall time says more about what else the machine is doing.
    code = (
        "import time; start = time.process_time(); import textseq.configuration; import sys;"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules);"
        "print(time.process_time() - start, heavy or '')"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    outputs = [run.stdout.split() for run in runs]
    assert all(len(output) == 1 for output in outputs), outputs
    assert min(float(output[0]) for output in outputs) < 0.25
