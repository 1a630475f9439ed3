"""Translation as the training loop sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sacrebleu

from nmt.choices import resolve
from nmt.config import Config
from nmt.data import prepare_data
from nmt.task import TranslationTask
from nmt.translator import Translator, make_model
from textseq.run_directory import RunDirectory
from textseq.training.task import Task

NO_DROPOUT = tuple(f"model.{kind}_dropout=0" for kind in ("embedding", "state", "memory", "readout"))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config) -> TranslationTask:
    config = tiny_config.with_overrides([*NO_DROPOUT, "batching.token_budget=256", "training.validation_sentences=7"])
    data = prepare_data(config, RunDirectory.create(tmp_path_factory.mktemp("task") / "run", "nmt"), lambda text: None)
    config = resolve(config, data.training_pairs, data.choices)
    model = make_model(config, data.source_tokenizer, data.target_tokenizer)
    return TranslationTask(Translator(model, data.source_tokenizer, data.target_tokenizer, config), data, config)


def test_batches_cover_the_text_once(task: TranslationTask) -> None:
    typed: Task = task
    batches = task.batches(3)
    assert len(batches) == typed.batches_per_epoch == len(task.data.plan)
    indices = np.concatenate([batch.indices for batch in batches])
    assert sorted(indices.tolist()) == list(range(task.data.training_pairs))


def test_the_loss_is_the_smoothed_mean_over_the_real_targets(task: TranslationTask) -> None:
    """Against NumPy in float64: padding and rows of no sentence add nothing."""
    batch = min(task.batches(0), key=lambda batch: len(batch.indices))
    arrays = task.arrays(batch, 0)
    labels = arrays[2]
    logits = np.float64(task.model(arrays[0], arrays[1]).numpy())
    log_probabilities = logits - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
    log_probabilities -= logits.max(-1, keepdims=True)
    mask = labels != task.data.special_ids.pad_id
    assert not mask.all()
    plain = -np.take_along_axis(log_probabilities, labels[..., None], axis=-1)[..., 0]
    smoothed = (1 - 0.1) * plain - 0.1 * log_probabilities.mean(-1)
    loss = task.loss(arrays)
    assert float(loss.targets) == mask.sum()
    assert float(loss.plain_sum) == pytest.approx(plain[mask].sum(), rel=1e-5)
    assert float(loss.objective) == pytest.approx(smoothed[mask].mean(), rel=1e-5)


def test_more_padding_changes_no_loss(task: TranslationTask) -> None:
    arrays = task.arrays(task.batches(0)[0], 0)
    pad = task.data.special_ids.pad_id
    wider = tuple(np.pad(array, ((0, 0), (0, 5)), constant_values=pad) for array in arrays)
    for one, other in zip(task.loss(arrays), task.loss(wider), strict=True):
        assert float(one) == pytest.approx(float(other), rel=1e-6)


def test_validation_loss_is_that_of_scoring(task: TranslationTask) -> None:
    sources, targets = task.data.validation_texts()
    log_probability = sum(task.translator.score(sources, targets))
    tokens = sum(len(ids) + 1 for ids in task.data.target_tokenizer.encode(targets))
    scores = task.validate()
    assert scores["loss"] == pytest.approx(-log_probability / tokens, rel=1e-5)
    assert scores["perplexity"] == pytest.approx(np.exp(scores["loss"]))


def test_validation_translates_the_first_sentences(task: TranslationTask) -> None:
    sources, references = task.data.validation_texts()
    assert len(sources) > 7
    hypotheses = [translation.text for translation in task.translator.translate(sources[:7], beam=1)]
    scores = task.validate()
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(hypotheses, [references[:7]]).score)
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references[:7]]).score)


def test_validation_changes_no_state(task: TranslationTask) -> None:
    before = [np.array(variable.numpy()) for variable in task.model.variables]
    assert task.validate() == task.validate()
    for variable, array in zip(task.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


@pytest.mark.parametrize(("metric", "higher"), [("bleu", True), ("chrf", True), ("loss", False)])
def test_direction_of_the_metric(task: TranslationTask, metric: str, higher: bool) -> None:
    config = task.translator.config.with_overrides([f"training.metric={metric}"])
    other = TranslationTask(task.translator, task.data, config)
    assert (other.metric, other.higher_is_better) == (metric, higher)
    assert metric in task.validate()


def test_sampled_subwords_give_each_epoch_its_batches(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config.with_overrides(["tokenization.sampling=0.3", "batching.token_budget=256"])
    data = prepare_data(config, RunDirectory.create(tmp_path / "run", "nmt"), lambda text: None)
    config = resolve(config, data.training_pairs, data.choices)
    model = make_model(config, data.source_tokenizer, data.target_tokenizer)
    task = TranslationTask(Translator(model, data.source_tokenizer, data.target_tokenizer, config), data, config)
    nominal = task.batches_per_epoch
    first = [task.arrays(batch, 0) for batch in task.batches(0)]
    second = [task.arrays(batch, 1) for batch in task.batches(1)]
    assert task.batches_per_epoch == nominal
    assert sum(array[2].size for array in first) != sum(array[2].size for array in second) or any(
        (one[2] != other[2]).any() for one, other in zip(first, second, strict=False) if one[2].shape == other[2].shape
    )
    again = [task.arrays(batch, 0) for batch in task.batches(0)]
    for one, other in zip(first, again, strict=True):
        for array, array_again in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, array_again)
