"""The configuration of a translator."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.config import Config, ModelConfig, Sizes
from textseq.errors import ConfigurationError


def test_the_defaults_come_back_from_toml(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(Config().to_toml(), encoding="utf-8")
    assert Config.from_toml(tmp_path / "config.toml") == Config()


def test_every_key_is_explained() -> None:
    for name, section in Config.model_fields.items():
        if name == "seed":
            assert section.description
            continue
        for key, field in type(getattr(Config(), name)).model_fields.items():
            assert field.description, f"{name}.{key} has no description"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.cell=gur", 'model.cell: received "gur", expected '),
        ("model.attention=dot", 'model.attention: received "dot", expected '),
        ("model.embedding_units=0", "model.embedding_units: received 0, expected 1 or more"),
        ("model.state_dropout=1", "model.state_dropout: received 1, expected less than 1"),
        ("training.learning_rate=0", "training.learning_rate: received 0, expected more than 0"),
        ("training.metric=ter", 'training.metric: received "ter", expected '),
        ("training.validation_sentences=0", "training.validation_sentences: received 0, expected 1 or more"),
        ("training.epoch=3", "unknown key training.epoch; did you mean training.epochs?"),
        ("seed=-1", "seed: received -1, expected 0 or more"),
    ],
)
def test_what_is_wrong_is_named(override: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Config().with_overrides([override])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_from_before_the_attention_could_be_chosen_has_it(tmp_path: Path) -> None:
    lines = Config().to_toml().splitlines()
    old = [line for line in lines if not line.startswith("attention = ")]
    assert len(old) == len(lines) - 1
    (tmp_path / "config.toml").write_text("\n".join(old), encoding="utf-8")
    assert Config.from_toml(tmp_path / "config.toml").model.attention == "additive"


def test_no_attention_can_be_said_in_a_file_and_on_the_command_line(tmp_path: Path) -> None:
    config = Config().with_overrides(["model.attention=none"])
    (tmp_path / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    assert Config.from_toml(tmp_path / "config.toml").model.attention == "none"


def test_sizes() -> None:
    model = ModelConfig(embedding_units=1, encoder_units=2, decoder_units=3, attention_units=4)
    assert model.sizes == Sizes(1, 2, 3, 4)


@pytest.mark.parametrize("name", Sizes._fields)
def test_sizes_must_be_chosen(name: str) -> None:
    values = {field: 8 for field in Sizes._fields if field != name}
    with pytest.raises(ConfigurationError, match=rf"^model\.{name} is unset, expected a number of units; set it$"):
        _ = ModelConfig(**values).sizes
