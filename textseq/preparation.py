"""Preparing a run's data: a task says what is made of its text, here it is done once and used again.

The folders data/ and tokenizer/ are made aside and put in place at the end, so a run has all of them or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from textseq.batching import BatchPlan, Lengths
from textseq.cleaning import CLEANING, CleaningReport
from textseq.configuration import Configuration
from textseq.counted import counted
from textseq.prepared import Notify, fingerprint, fingerprints, prepared_before, write_json, write_prepared
from textseq.run_directory import RunDirectory, replace_directory
from textseq.token_sampling import TextPart, lengths_of, sampled_lengths
from textseq.tokenization import Tokenizer


class PreparedData(Protocol):
    """What every task's prepared data tell of themselves: what cleaning did, and how many examples they train on."""

    @property
    def report(self) -> CleaningReport:
        """What cleaning did."""

    def __len__(self) -> int:
        """Examples that are trained on."""


Data = TypeVar("Data", bound=PreparedData)


@dataclass(frozen=True)
class Making:
    """Data that are being made.

    Attributes:
        run: whose they are.
        folder: becomes the run's data/.
        notify: told in one line what happens.
        choices: receives what is chosen from the corpus, by its key in the configuration.
    """

    run: RunDirectory
    folder: Path
    notify: Notify
    choices: dict[str, int] = field(default_factory=dict)

    def write_tokenizers(self, tokenizers: Mapping[str, Tokenizer]) -> None:
        """Makes the folder tokenizer/ anew, a file NAME.model for each tokenizer."""
        with replace_directory(self.run.tokenizer_path) as models:
            for name, tokenizer in tokenizers.items():
                tokenizer_path(models, name).write_bytes(tokenizer.model_bytes)


@dataclass(frozen=True)
class Made:
    """What was made of a corpus.

    Attributes:
        report: what cleaning did; its `EXAMPLE` is what is trained on.
        plan: the batches of the training part.
        training: examples that are trained on.
        validation: examples of the validation part.
        more: what else cleaning.json tells.
    """

    report: CleaningReport
    plan: BatchPlan
    training: int
    validation: int
    more: Mapping[str, Any] = field(default_factory=dict)


def prepare(
    run: RunDirectory,
    settings: Mapping[str, Any],
    files: Mapping[str, str],
    notify: Notify,
    *,
    held_out: str,
    check: Callable[[], None],
    make: Callable[[Making], Made],
    opened: Callable[[Mapping[str, Any]], Data],
) -> Data:
    """Opens what was prepared before where nothing has changed since; otherwise prepares it.

    Args:
        run: receives data/ and tokenizer/.
        settings: what decides what is made, see `textseq.prepared.settings_of`.
        files: the text, by its key in the configuration.
        notify: told in one line what happens.
        held_out: key of the validation text.
        check: raises, before any work, where the files cannot be used.
        make: fills the folder data/, and writes the tokenizers.
        opened: the data of a content of prepared.json.

    Raises:
        RunDirectoryError: the run was prepared from other text or with another configuration.
        OutputError: the disk is full.
    """
    prepared = prepared_before(run, settings, files, notify, held_out=held_out, keys=("shapes",))
    if prepared is not None:
        data = opened(prepared)
        notify(f"data: {counted(len(data), f'training {data.report.EXAMPLE}')}, prepared before")
        return data
    check()
    inputs = {role: fingerprint(path) for role, path in files.items()}
    with replace_directory(run.data_path) as folder:
        making = Making(run, folder, notify)
        made = make(making)
        _tell(making, made)
        write_json(folder / CLEANING, _record(made))
        prints = fingerprints(data=folder, tokenizer=run.tokenizer_path)
        shapes = [list(shape) for shape in made.plan.shapes]
        prepared = write_prepared(folder, settings, inputs, making.choices, prints, shapes=shapes)
    return opened(prepared)


def training_lengths(config: Configuration, parts: Sequence[TextPart]) -> Lengths:
    """Tokens of each training example, int32[examples, parts], to choose the shapes of batches by.

    Args:
        config: its seed, tokenization and batching; where subwords are sampled, the lengths are sampled ones.
        parts: the training text, equally long.
    """
    settings: Any = config
    amount, longest = settings.tokenization.sampling, settings.batching.max_length
    if amount:
        return sampled_lengths(parts, amount, longest, seed=settings.seed)
    return lengths_of([part.plain for part in parts])


def choose_plan(
    config: Configuration, lengths: Lengths, choices: dict[str, int], token_budget: Callable[[], int]
) -> BatchPlan:
    """The shapes of a run's batches.

    Args:
        config: its batching.
        lengths: int32[examples, parts], tokens of each.
        choices: receives "batching.token_budget" where the configuration leaves it open.
        token_budget: chooses it.

    Raises:
        ConfigurationError: the budget has no room for the longest example.
    """
    settings: Any = config
    if settings.batching.token_budget is None:
        choices["batching.token_budget"] = token_budget()
    chosen: Any = config.with_choices(choices)
    return BatchPlan(lengths, chosen.batching)


def tokenizer_path(folder: Path, name: str) -> Path:
    """Where a tokenizer stands in tokenizer/: its name is that of the text which it cuts, or joint."""
    return folder / f"{name}.model"


def load_tokenizer(run: RunDirectory, name: str) -> Tokenizer:
    """One of a run's tokenizers.

    Raises:
        RunDirectoryError: its model is missing or damaged.
    """
    return Tokenizer.load(tokenizer_path(run.tokenizer_path, name))


def _tell(making: Making, made: Made) -> None:
    for name, value in making.choices.items():
        making.notify(f"chosen from the corpus: {name} = {value:,}")
    training, validation = (
        counted(count, f"{part} {made.report.EXAMPLE}")
        for part, count in (("training", made.training), ("validation", made.validation))
    )
    making.notify(f"data: {training}, {validation}")


def _record(made: Made) -> dict[str, Any]:
    """The content of cleaning.json."""
    examples = f"{made.report.EXAMPLE}s"
    sizes = {f"training_{examples}": made.training, f"validation_{examples}": made.validation}
    return {"report": made.report.to_dict(), **sizes, **made.more}
