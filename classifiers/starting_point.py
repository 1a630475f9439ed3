"""Where a classifier's training can start instead of from zero: a translator, or a language model.

From a translator come its source vocabulary, embeddings and encoder (McCann et al. 2017, arXiv:1708.00107); from a
pretraining run its vocabulary, embeddings and the two recurrent layers (Dai and Le 2015, arXiv:1511.01432). Both are
read from the run's files alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from classifiers.config import Config
from textseq.errors import CheckpointError, ConfigurationError, RunDirectoryError
from textseq.identity import check_identity
from textseq.inference import load_best
from textseq.preparation import tokenizer_path
from textseq.run_directory import Checkpoint, RunDirectory
from textseq.tokenization import Tokenizer
from textseq.toml_text import parse_toml, read_toml_text, toml_value

if TYPE_CHECKING:
    import numpy as np


class _Kind(NamedTuple):
    """How the runs of one task are read."""

    name: str
    command: str
    """What trains such a run."""
    tokenizers: tuple[str, ...]
    """The names that the tokenizer can have in tokenizer/ and in the identity, the first that is there holds."""
    identity: str
    """The tokenizer's key in the identity."""
    embedding: str
    """Name of the embedding layer."""
    settings: tuple[str, ...]
    """Keys of the section model that the classifier takes over."""
    fixed: Mapping[str, Any]
    """Settings that all runs of the task share."""


_LAYERS = ("cell", "embedding_units", "encoder_units", "layer_norm")
_KINDS = {
    "nmt": _Kind(
        "translator",
        "nmt train",
        ("joint", "source"),
        "tokenizer.source",
        "source_embedding",
        (*_LAYERS, "encoder_layers", "residual"),
        {},
    ),
    "pretraining": _Kind(
        "language model",
        "classifiers pretrain",
        ("text",),
        "tokenizer.text",
        "embedding",
        _LAYERS,
        {"model.encoder_layers": 1},
    ),
}
# What a vocabulary is learnt with, and so decided; sampling is drawn anew in every training.
_VOCABULARY = (
    *("algorithm", "vocabulary_size", "byte_fallback"),
    *("user_defined_symbols", "character_coverage", "normalization"),
)


@dataclass(frozen=True)
class StartingPoint:
    """A tokenizer, embeddings and recurrent layers that a classifier begins with.

    Attributes:
        path: the run that they come from, as it was given.
        kind: "translator" or "language model".
        tokenizer: of the text that it reads.
        settings: what the classifier's configuration must say, by dotted key, such as {"model.cell": "gru"}.
        weights: float32 arrays by the names that they have in a classifier: "embedding/embeddings",
            "encoder/layer_0_forward/input_kernel", ...
        fingerprint: SHA-256 of weights and tokenizer, 64 hexadecimal digits.

    Example:
        >>> start = StartingPoint.load("runs/en-de")  # doctest: +SKIP
        >>> start.model_settings  # doctest: +SKIP
        ['model.cell="gru"', 'model.embedding_units=256', 'model.encoder_units=320', ...]
    """

    path: str
    kind: str
    tokenizer: Tokenizer
    settings: Mapping[str, Any]
    weights: Mapping[str, np.ndarray] = field(repr=False)
    fingerprint: str

    @classmethod
    def load(cls, run: str | os.PathLike[str]) -> StartingPoint:
        """Reads the best weights of a run, and checks that nothing of it was altered.

        Args:
            run: the directory of a translator's or of a pretraining run.

        Raises:
            RunDirectoryError: there is no such run, it has no weights yet, or its configuration or tokenizer was
                changed after the training.
            CheckpointError: the weights are truncated or altered, or do not fit the run's configuration.
        """
        directory = RunDirectory.open_any(run, {task: kind.command for task, kind in _KINDS.items()})
        kind = _KINDS[directory.task]
        best = load_best(directory, kind.command)
        tokenizer = _load_tokenizer(directory, kind)
        settings = _read_settings(directory, kind, tokenizer, best)
        weights = _read_weights(best, kind, tokenizer, settings)
        return cls(str(directory.path), kind.name, tokenizer, settings, weights, _fingerprint(weights, tokenizer))

    @property
    def model_settings(self) -> list[str]:
        """The settings of the section model, as `Configuration.with_overrides` takes them."""
        return [one for one in _overrides(self.settings) if one.startswith("model.")]

    def apply(self, config: Config) -> Config:
        """A configuration of a classifier that can start from here.

        A value that is None or the default counts as left open. More encoder layers than there are here are allowed:
        the upper ones start from zero.

        Args:
            config: as the user gave it.

        Raises:
            ConfigurationError: it asks for another network or another vocabulary; both values are named.
        """
        taken, different = {}, []
        for key, value in self.settings.items():
            given, default = _value(config, key), _value(Config(), key)
            if given in (None, default, value):
                taken[key] = value
            elif not (key == "model.encoder_layers" and given > value):
                least = " or more" if key == "model.encoder_layers" else ""
                different.append(f"{key} is {toml_value(given)}, but {toml_value(value)}{least} in {self.path}")
        if config.model.convolution_filters:
            different.append(
                f"model.convolution_filters is {config.model.convolution_filters}, but 0 in {self.path}, "
                "whose encoder reads embedded tokens"
            )
        if different:
            raise ConfigurationError(
                f"{'; '.join(different)}, which the training starts from; leave these settings out, or train without "
                "--from-run"
            )
        return config.with_overrides([*_overrides(taken), f"from_run={toml_value(config.from_run or self.path)}"])

    def assign(self, model: Any) -> None:
        """Puts the weights into a classifier; its other weights stay as they are. All or nothing.

        Args:
            model: a `ClassifierModel`, or whatever has an `embedding` and a bidirectional `encoder`.

        Raises:
            CheckpointError: a weight has another shape there, or no place.
        """
        variables = dict(_named_variables(model))
        for name, array in self.weights.items():
            expected = tuple(variables[name].shape) if name in variables else "none"
            if array.shape != expected:
                raise CheckpointError(
                    f"{self.path}: {name} is {array.shape}, the classifier's is {expected}; "
                    "train with the settings that StartingPoint.apply gives"
                )
        layers = {name.split("/")[1] for name in self.weights}
        missing = [name for name in variables if name.split("/")[1] in layers and name not in self.weights]
        if missing:
            raise CheckpointError(
                f"{self.path}: has no {missing[0]}, which the classifier has; "
                "train with the settings that StartingPoint.apply gives"
            )
        for name, array in self.weights.items():
            variables[name].assign(array)


def with_stored_settings(config: Config, stored: Config) -> Config:
    """A configuration with what a starting point decided when the run was begun, where it is left open now.

    Args:
        config: as the user gave it.
        stored: that of the run.
    """
    keys = [*(f"model.{key}" for key in _KINDS["nmt"].settings), *(f"tokenization.{key}" for key in _VOCABULARY)]
    taken = {key: _value(stored, key) for key in keys if _value(config, key) in (None, _value(Config(), key))}
    return config.with_overrides(_overrides(taken))


def _load_tokenizer(directory: RunDirectory, kind: _Kind) -> Tokenizer:
    paths = [tokenizer_path(directory.tokenizer_path, name) for name in kind.tokenizers]
    return Tokenizer.load(next((path for path in paths if path.is_file()), paths[0]))


def _read_settings(directory: RunDirectory, kind: _Kind, tokenizer: Tokenizer, best: Checkpoint) -> dict[str, Any]:
    """The settings that a classifier takes over, if the run still says what its weights were trained with."""
    tables = parse_toml(read_toml_text(directory.config_path), directory.config_path)
    settings = {}
    for section, keys in (("model", kind.settings), ("tokenization", _VOCABULARY)):
        for key in keys:
            if key in tables.get(section, {}):
                settings[f"{section}.{key}"] = tables[section][key]
            elif section == "model":  # of tokenization, an older release may not have known every key
                raise RunDirectoryError(
                    f"{directory.config_path}: has no {section}.{key}; expected the configuration that training wrote; "
                    "bring it back"
                )
    now = {**settings, kind.identity: tokenizer.fingerprint}
    stored = {key: value for key, value in best.state.get("identity", {}).items() if key in now}
    check_identity(stored, now, directory.path, deciding_only=True)
    return {**settings, **kind.fixed}


def _read_weights(
    best: Checkpoint, kind: _Kind, tokenizer: Tokenizer, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    weights: dict[str, np.ndarray] = {}
    for name, array in best.tensors.get("weights", {}).items():
        layer, _, rest = name.partition("/")
        if layer in (kind.embedding, "encoder"):
            weights[f"{'embedding' if layer == kind.embedding else layer}/{rest}"] = array
    expected = (tokenizer.vocabulary_size, settings["model.embedding_units"])
    embeddings = weights.get("embedding/embeddings")
    received = "nothing" if embeddings is None else embeddings.shape
    if received != expected or len(weights) == 1:
        what = f"{kind.embedding}/embeddings is {received}, expected {expected}"
        raise CheckpointError(
            f"{best.path}: the weights are not those of a {kind.name} with this configuration: "
            f"{'no encoder among them' if received == expected else what}; "
            "restore config.toml and tokenizer/ as they were when the run was trained"
        )
    return dict(sorted(weights.items()))


def _named_variables(model: Any) -> Iterator[tuple[str, Any]]:
    """The weights of a model's embedding and encoder by their names from there on."""
    for name, layer in (("embedding", model.embedding), ("encoder", model.encoder)):
        for variable in layer.trainable_variables:
            parts = variable.path.split("/")
            yield "/".join([name, *parts[parts.index(layer.name) + 1 :]]), variable


def _fingerprint(weights: Mapping[str, np.ndarray], tokenizer: Tokenizer) -> str:
    digest = hashlib.sha256(tokenizer.fingerprint.encode())
    for name, array in weights.items():
        digest.update(f"\n{name} {array.dtype.name}{list(array.shape)}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _overrides(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={toml_value(value)}" for key, value in settings.items()]


def _value(config: Config, key: str) -> Any:
    section, name = key.split(".")
    value = getattr(getattr(config, section), name)
    return list(value) if isinstance(value, tuple) else value
