"""Translating with a trained run."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nmt.ceilings import LONGEST_SOURCE, LONGEST_SOURCE_BYTES, LONGEST_TARGET, LONGEST_TARGET_BYTES
from nmt.config import Config
from nmt.model import TranslationModel
from nmt.search import SearchConfig, SearchResult, beam_search, sample, score
from nmt.search.scoring import NO_ATTENTION
from nmt.search.trace import trace_beam_search, trace_sampling
from nmt.search_tree import SearchTree
from nmt.translation import Translation
from nmt.translation_data import load_tokenizers
from textseq.errors import InputError
from textseq.identity import identity
from textseq.inference import TrainedRun, batched_indices, encode_cut, padded, text_lines
from textseq.special_ids import special_ids_of
from textseq.tokenization import Tokenizer

TOKENS_A_BATCH = 4096
"""Source tokens of one batch, padding counted, for greedy search; a beam divides it."""


class _Hypothesis(NamedTuple):
    """One translation of one row of a batch."""

    row: int
    place: int
    ids: list[int]
    text: str


class Translator:
    """A trained model with its tokenizers.

    Of a line of more than `nmt.ceilings.LONGEST_SOURCE` tokens, or of `LONGEST_SOURCE_BYTES` bytes, the first are read,
    so that one line can take neither minutes nor gigabytes. It is said in the log, and in `Translation.truncated`;
    lines of ordinary text never come near.

    Args:
        model: the network.
        source_tokenizer: of the language to translate from.
        target_tokenizer: of the language to translate to.
        config: of the run.

    Example:
        >>> translator = Translator.load("runs/en-de")  # doctest: +SKIP
        >>> print(translator.translate(["A man is sleeping."])[0])  # doctest: +SKIP
        Ein Mann schläft.
    """

    def __init__(
        self, model: TranslationModel, source_tokenizer: Tokenizer, target_tokenizer: Tokenizer, config: Config
    ) -> None:
        self.model = model
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.config = config
        self.step: int | None = None
        """The training step of the weights, where they were loaded from a run."""
        self._searches: dict[Any, Callable[..., SearchResult]] = {}
        self._score: Callable[..., Any] | None = None
        self._source_pieces = source_tokenizer.vocabulary()
        self._target_pieces = target_tokenizer.vocabulary()

    @classmethod
    def load(cls, run: str | os.PathLike[str]) -> Translator:
        """Loads the best weights of a run.

        Args:
            run: the run directory.

        Raises:
            RunDirectoryError: there is no run, it has no weights yet, or its configuration or tokenizer was changed
                after the training.
            CheckpointError: the weights are truncated or altered, or belong to another configuration.
        """
        trained = TrainedRun.open(run, "nmt", Config, "translating")
        config = trained.config
        source, target = load_tokenizers(trained.directory, config.tokenization.joint)
        trained.check(identity(config, {"source": source, "target": target}))
        translator = cls(make_model(config, source, target), source, target, config)
        translator.step = trained.assign(translator.model)
        return translator

    @property
    def aligns(self) -> bool:
        """Whether the model says where it looks: one that was trained with `model.attention=none` does not."""
        return self.model.attends

    def translate(
        self,
        lines: Sequence[str],
        *,
        beam: int | None = None,
        n_best: int = 1,
        attention: bool = False,
    ) -> list[Translation]:
        """Translates lines; each gives one translation, in order, whatever it holds.

        Args:
            lines: the text; a line without any token, such as an empty one, gives an empty translation. Lone
                surrogates are read as U+FFFD. Very long lines are cut, see the class.
            beam: hypotheses kept alive; 1 is greedy search; None is the run's own.
            n_best: translations of each line, at most `beam`.
            attention: keep the attention weights, for alignments and heat maps.

        Raises:
            ConfigurationError: `n_best` exceeds `beam`.
            InputError: one text in place of a list, or attention of a model without (see `aligns`).
        """
        if attention and not self.aligns:
            raise InputError(NO_ATTENTION)
        changes = [f"search.n_best={n_best}"] + ([] if beam is None else [f"search.beam={beam}"])
        config = self.config.with_overrides(changes).search
        return self._decode(lines, self._compiled(("beam", config, attention)), config.beam, n_best)

    def sample(
        self,
        lines: Sequence[str],
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
        first_line: int = 0,
    ) -> list[Translation]:
        """Draws one translation a line at random.

        Args:
            lines: the text, as for `translate`.
            temperature: below 1 sharpens the distribution, above 1 flattens it.
            top_k: draw from the k most probable tokens; None from all.
            top_p: draw from the most probable tokens that reach this probability together.
            seed: another seed, another draw.
            first_line: the number of the first line; seed, line and number decide what is drawn, so a text that is
                read in parts is drawn as if it were read at once.

        Raises:
            ConfigurationError: a value out of range.
            InputError: one text in place of a list.
        """
        values = {"temperature": temperature, "top_k": top_k or 0, "top_p": top_p, "seed": seed, "samples": 1}
        config = self.config.with_overrides([f"search.{key}={value}" for key, value in values.items()]).search
        return self._decode(lines, self._compiled(("sample", config, False)), 1, 1, first_line)

    def search_tree(self, text: str, *, beam: int | None = None) -> SearchTree:
        """The search for a translation of one line, step by step as a tree; it is the search that `translate` runs.

        Args:
            text: one line, cut where it is very long, as for `translate`.
            beam: hypotheses kept alive; 1 is greedy search; None is the run's own.

        Raises:
            ConfigurationError: the beam is out of range.
            InputError: another thing than one text.

        Example:
            >>> tree = Translator.load("runs/en-de").search_tree("A man is sleeping.", beam=4)  # doctest: +SKIP
            >>> tree.plot("tree.png")  # doctest: +SKIP
        """
        changes = ["search.n_best=1"] + ([] if beam is None else [f"search.beam={beam}"])
        return self._tree(text, trace_beam_search, self.config.with_overrides(changes).search)

    def sampling_tree(
        self,
        text: str,
        *,
        samples: int = 4,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> SearchTree:
        """Several draws of a translation of one line, as a tree; the first is the one that `sample` gives.

        Args:
            text: one line, cut where it is very long, as for `translate`.
            samples: how many to draw.
            temperature: as for `sample`.
            top_k: as for `sample`.
            top_p: as for `sample`.
            seed: as for `sample`.

        Raises:
            ConfigurationError: a value out of range.
            InputError: another thing than one text.
        """
        values = {"temperature": temperature, "top_k": top_k or 0, "top_p": top_p, "seed": seed, "samples": samples}
        config = self.config.with_overrides([f"search.{key}={value}" for key, value in values.items()]).search
        return self._tree(text, functools.partial(trace_sampling, numbers=tf.constant([0])), config)

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
        """The log-probability of each target given its source, in nats.

        It is the probability of one way to cut the target into subwords, that of the tokenizer. Search writes other
        cuts at times; the text then scores lower than the translation's `log_probability`.

        Args:
            sources: text, cut where it is very long, as for `translate`.
            targets: as many translations. Of more than `nmt.ceilings.LONGEST_TARGET` tokens, or
                `LONGEST_TARGET_BYTES` bytes, the first are scored, which are at least as probable as the whole; it is
                said in the log.

        Raises:
            InputError: the numbers differ, or one text in place of a list.
        """
        return self.score_and_cuts(sources, targets)[0]

    def score_and_cuts(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[list[float], frozenset[int]]:
        """What `score` gives, and the indices of the pairs of which a side was cut.

        Raises:
            InputError: the numbers differ, or one text in place of a list.
        """
        sources, targets = text_lines(sources), text_lines(targets)
        if len(sources) != len(targets):
            raise InputError(f"received {len(sources)} sources and {len(targets)} targets; expected as many of each")
        source_ids, source_cut = self._source_ids(sources)
        target_ids, target_cut = self._target_ids(targets)
        lengths = np.array([(len(source), len(target)) for source, target in zip(source_ids, target_ids, strict=True)])
        scores = np.zeros(len(sources), np.float64)
        for indices in batched_indices(lengths.reshape(-1, 2), TOKENS_A_BATCH):
            scores[indices] = self._forced()(
                padded([source_ids[index] for index in indices], self.source_tokenizer.pad_id),
                padded([target_ids[index] for index in indices], self.target_tokenizer.pad_id),
            ).numpy()
        return [float(value) for value in scores], source_cut | target_cut

    def _decode(
        self, lines: Sequence[str], search: Callable[..., SearchResult], beam: int, n_best: int, first_line: int = 0
    ) -> list[Translation]:
        lines = text_lines(lines)
        ids, cut = self._source_ids(lines)
        translations: list[Translation | None] = [None] * len(lines)
        lengths = np.array([len(one) for one in ids]).reshape(-1, 1)
        for indices in batched_indices(lengths, TOKENS_A_BATCH // max(1, beam // 2)):
            source_ids = padded([ids[index] for index in indices], self.source_tokenizer.pad_id)
            result = search(source_ids, tf.constant(indices, tf.int32) + first_line)
            arrays = SearchResult(*(None if array is None else array.numpy() for array in result))
            hypotheses = self._hypotheses(arrays)
            for row, index in enumerate(indices):
                found = [
                    self._translation(lines[index], ids[index], index in cut, arrays, hypothesis)
                    for hypothesis in hypotheses[row]
                ]
                translations[index] = found[0] if n_best == 1 else replace(found[0], n_best=tuple(found))
        return [translation for translation in translations if translation is not None]

    def _tree(self, text: str, trace: Callable[..., SearchTree], config: SearchConfig) -> SearchTree:
        if not isinstance(text, str):
            raise InputError(f"search tree: received {type(text).__name__}; expected one text")
        lines = text_lines([text])
        ids, _ = self._source_ids(lines)
        tree = trace(self.model, tf.constant(ids, tf.int32), config, self.target_tokenizer, pieces=self._target_pieces)
        found = [[tree.nodes[index].token_id for index in tree.path(end)] for end in tree.ends]
        # As `translate` has it: a source without tokens gives an empty text.
        texts = self.target_tokenizer.decode_batch(found) if len(ids[0]) > 1 else [""] * len(found)
        return replace(tree, source=lines[0], texts=tuple(texts))

    def _hypotheses(self, result: SearchResult) -> list[list[_Hypothesis]]:
        """What search found for each row, as text: all texts of a batch are decoded at once."""
        rows, places = np.nonzero(result.lengths)
        lengths = result.lengths[rows, places].tolist()
        ids = [row[:length] for row, length in zip(result.ids[rows, places].tolist(), lengths, strict=True)]
        texts = self.target_tokenizer.decode_batch(ids)
        found: list[list[_Hypothesis]] = [[] for _ in range(len(result.lengths))]
        for row, place, one, text in zip(rows.tolist(), places.tolist(), ids, texts, strict=True):
            found[row].append(_Hypothesis(row, place, one, text))
        return found

    def _translation(
        self, line: str, source_ids: list[int], truncated: bool, result: SearchResult, found: _Hypothesis
    ) -> Translation:
        place = (found.row, found.place)
        attention = None
        if result.attention is not None:
            attention = result.attention[place][: len(found.ids), : len(source_ids)]
        return Translation(
            source=line,
            # Whatever the model makes of nothing; </s> alone is a source without tokens.
            text=found.text if len(source_ids) > 1 else "",
            score=float(result.scores[place]),
            log_probability=float(result.log_probabilities[place]),
            source_pieces=tuple(self._source_pieces[index] for index in source_ids),
            target_pieces=tuple(self._target_pieces[index] for index in found.ids),
            attention=attention,
            truncated=truncated,
        )

    def _source_ids(self, lines: Sequence[str]) -> tuple[list[list[int]], frozenset[int]]:
        """The ids of each line, ending in eos, and the indices of lines that were cut."""
        advice = "put every sentence on a line of its own"
        ceiling = (LONGEST_SOURCE, LONGEST_SOURCE_BYTES)
        return encode_cut(self.source_tokenizer, lines, *ceiling, noun="lines", advice=advice)

    def _target_ids(self, lines: Sequence[str]) -> tuple[list[list[int]], frozenset[int]]:
        """The ids of each line, ending in eos where it was not cut, and the indices of lines that were."""
        advice = "score every sentence on a line of its own"
        ceiling = (LONGEST_TARGET, LONGEST_TARGET_BYTES)
        ids, cut = encode_cut(self.target_tokenizer, lines, *ceiling, noun="translations", advice=advice)
        # What goes on does not end there.
        return [one[:-1] if index in cut else one for index, one in enumerate(ids)], cut

    def _compiled(self, key: tuple[str, SearchConfig, bool]) -> Callable[..., SearchResult]:
        if key not in self._searches:
            kind, config, attention = key

            def search(source_ids: tf.Tensor, numbers: tf.Tensor) -> SearchResult:
                if kind == "sample":
                    return sample(self.model, source_ids, config, self.target_tokenizer, numbers=numbers)
                return beam_search(self.model, source_ids, config, self.target_tokenizer, attention=attention)

            signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
            self._searches[key] = tf.function(search, input_signature=signature, autograph=False)
        return self._searches[key]

    def _forced(self) -> Callable[..., Any]:
        if self._score is None:

            def forced(source_ids: tf.Tensor, target_ids: tf.Tensor) -> tf.Tensor:
                return score(self.model, source_ids, target_ids, self.target_tokenizer).log_probabilities

            signature = [tf.TensorSpec([None, None], tf.int32)] * 2
            self._score = tf.function(forced, input_signature=signature, autograph=False)
        return self._score


def make_model(config: Config, source_tokenizer: Tokenizer, target_tokenizer: Tokenizer) -> TranslationModel:
    """The network of a resolved configuration, with fresh weights."""
    return TranslationModel(
        config.model,
        source_vocabulary_size=source_tokenizer.vocabulary_size,
        target_vocabulary_size=target_tokenizer.vocabulary_size,
        special_ids=special_ids_of(target_tokenizer),
        joint_vocabulary=source_tokenizer is target_tokenizer,
        product_dtype=config.training.precision or "float32",
        unroll=bool(config.training.unroll),
        seed=config.seed,
        name="translator",
    )
