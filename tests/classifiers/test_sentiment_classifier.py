"""The estimator: scikit-learn's conventions, its own checks where they apply to text, and what users hand over wrongly.

Of `sklearn.utils.estimator_checks`, those that look at parameters and tags run as they are. Those that fit rows of
numbers run on `RowsAsTexts`, which writes each row as a text. These do not apply:

- n_features_in_ (check_n_features_in, check_n_features_in_after_fitting, check_fit1d, check_fit2d_1sample,
  check_fit2d_1feature, check_fit2d_predict1d, check_estimators_partial_fit_n_features): a text has no columns
- dtypes, NaN, complex numbers, memory order and sparse matrices of numbers (check_estimators_dtypes,
  check_complex_data, check_dtype_object, check_estimators_nan_inf, check_f_contiguous_array_estimator,
  check_estimator_sparse_array, check_estimator_sparse_matrix, check_readonly_memmap_input, check_array_api_input,
  check_classifier_data_not_an_array, check_estimators_empty_data_messages, check_positive_only_tag_during_fit): what
  takes their place is below, with texts
- sample_weight, class_weight, max_iter, decision_function, partial_fit, transform: the estimator has none
- the accuracy that check_classifiers_train and check_classifiers_classes ask for on blobs of points: that it learns is
  tested on text
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.validation import check_is_fitted

from classifiers.estimator_input import EstimatorInputError
from classifiers.sentiment_classifier import SentimentClassifier
from textseq.errors import ConfigurationError, InputError, RunDirectoryError

TINY = (
    "tokenization.vocabulary_size=300",
    "tokenization.sampling=0",
    "model.embedding_units=16",
    "model.encoder_units=16",
    "batching.token_budget=1024",
    "batching.shapes=1",
    "training.precision=float32",
    "training.unroll=false",
    "training.warmup_steps=5",
    "training.average_decay=0.5",
)
LEARNING = (
    *TINY,
    "training.metric=loss",
    "training.patience=0",
    "model.embedding_dropout=0.1",
    "model.layer_dropout=0.1",
    "model.pooled_dropout=0.2",
    "model.state_dropout=0.0",
    "model.word_dropout=0.0",
)
"""With these and 25 epochs, a hundred texts of a dozen words are learnt."""
Texts = list[tuple[str, str]]


def tiny(**parameters: Any) -> SentimentClassifier:
    return SentimentClassifier(**{"epochs": 1, "settings": TINY, **parameters})


def learning() -> SentimentClassifier:
    return tiny(epochs=25, learning_rate=0.02, settings=LEARNING)


@pytest.fixture(scope="module")
def two(tiny_texts: Texts) -> tuple[list[str], list[str]]:
    """90 texts that are negative or positive, and their labels."""
    chosen = [one for one in tiny_texts if one[0] != "neutral"][:90]
    return [text for _, text in chosen], [label for label, _ in chosen]


@pytest.fixture(scope="module")
def fitted(two: tuple[list[str], list[str]]) -> SentimentClassifier:
    return learning().fit(*two)


# Learning and predicting


def test_it_learns_and_keeps_scikit_learn_s_conventions(
    fitted: SentimentClassifier, two: tuple[list[str], list[str]], tiny_texts: Texts
) -> None:
    labels = two[1]
    assert fitted.classes_.tolist() == ["negative", "positive"]
    unseen = [(label, text) for label, text in tiny_texts[300:] if label != "neutral"]
    new, expected = [text for _, text in unseen], [label for label, _ in unseen]
    predicted = fitted.predict(new)
    assert predicted.dtype == np.array(labels).dtype
    assert accuracy_score(expected, predicted) > 0.9
    assert fitted.score(new, expected) == accuracy_score(expected, predicted)
    probabilities = fitted.predict_proba(new)
    assert probabilities.shape == (len(new), 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(fitted.classes_[probabilities.argmax(axis=1)], predicted)
    assert fitted.report_.epochs >= 1
    assert not hasattr(fitted, "n_features_in_")


def test_the_temporary_run_is_gone(fitted: SentimentClassifier) -> None:
    assert not Path(fitted.report_.run).exists()
    assert fitted.predict(["the film is lovely."]).shape == (1,)


def test_weights_of_a_sample_count_in_the_score(fitted: SentimentClassifier, two: tuple[list[str], list[str]]) -> None:
    texts, labels = [*two[0][:3], ""], [*two[1][:3], "negative"]
    weights = [1.0, 2.0, 0.5, 4.0]
    expected = accuracy_score(labels, fitted.predict(texts), sample_weight=weights)
    assert fitted.score(texts, labels, sample_weight=weights) == pytest.approx(expected)


def test_texts_of_whatever_they_hold(fitted: SentimentClassifier) -> None:
    hostile = ["", "\x00", "\ud800", "x" * 100_000, "two\nlines", "\u2028", "语"]
    probabilities = fitted.predict_proba(hostile)
    assert probabilities.shape == (7, 2) and np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities[0], fitted.classifier_.prior)
    assert fitted.predict([]).shape == (0,)


@pytest.mark.parametrize(
    "form",
    [
        tuple,
        np.array,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: Column(texts),
    ],
)
def test_texts_in_any_form_of_one_dimension(fitted: SentimentClassifier, form: Callable[[list[str]], Any]) -> None:
    texts = ["the film is lovely.", "a meal, they say, was dull"]
    np.testing.assert_array_equal(fitted.predict(form(texts)), fitted.predict(texts))


class Column:
    """As much of a column of a data frame as is looked at."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def to_numpy(self) -> npt.NDArray[Any]:
        return np.array(self.values, dtype=object)

    def __len__(self) -> int:
        return len(self.values)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([-1, 10], np.int64),
        pytest.param([True, False], np.bool_, marks=pytest.mark.slow),
        pytest.param([1.0, 2.0], np.float64, marks=pytest.mark.slow),
        pytest.param(["b", "a"], "<U1", marks=pytest.mark.slow),
    ],
)
def test_labels_keep_their_own_dtype(two: tuple[list[str], list[str]], labels: list[Any], dtype: Any) -> None:
    texts, names = two
    estimator = tiny().fit(texts, [labels[name == "positive"] for name in names])
    assert estimator.classes_.tolist() == sorted(labels)
    assert estimator.classes_.dtype == estimator.predict(texts[:2]).dtype == np.dtype(dtype)


def test_columns_follow_classes_where_the_run_has_another_order(tiny_texts: Texts) -> None:
    # As text "-1" < "10" < "9"; a run orders numbers by value, and NumPy orders texts as text.
    numbers = {"negative": "10", "neutral": "9", "positive": "-1"}
    texts = [text for _, text in tiny_texts[:90]]
    estimator = learning().fit(texts, [numbers[label] for label, _ in tiny_texts[:90]])
    assert estimator.classes_.tolist() == ["-1", "10", "9"]
    assert estimator.classifier_.labels == ("-1", "9", "10")
    found = estimator.classifier_.predict(texts)
    assert estimator.predict(texts).tolist() == [one.label for one in found]
    for row, one in zip(estimator.predict_proba(texts), found, strict=True):
        np.testing.assert_allclose(row, [one.probabilities[label] for label in ("-1", "10", "9")], atol=1e-5)


def test_a_class_that_cleaning_removes_is_named(two: tuple[list[str], list[str]]) -> None:
    texts, labels = two
    message = "^the texts given to fit:91: no text with the label 'empty', which is first here, is left after cleaning"
    with pytest.raises(EstimatorInputError, match=message):
        tiny().fit([*texts, "", " "], [*labels, "empty", "empty"])


@pytest.mark.slow
def test_fitted_again_it_is_the_same_and_another_seed_is_not(two: tuple[list[str], list[str]]) -> None:
    texts, labels = two
    first = tiny(random_state=3).fit(texts, labels).predict_proba(texts)
    again = tiny(random_state=3)
    np.testing.assert_array_equal(again.fit(texts, labels).predict_proba(texts), first)
    other = again.set_params(random_state=4).fit(texts, labels)
    assert np.abs(other.predict_proba(texts) - first).max() > 1e-4


def test_random_state_is_read_as_elsewhere_in_scikit_learn() -> None:
    assert tiny(random_state=np.int64(7))._seed() == 7
    assert tiny(random_state=np.random.RandomState(1))._seed() == tiny(random_state=np.random.RandomState(1))._seed()
    assert tiny(random_state=None)._seed() != tiny(random_state=None)._seed()
    with pytest.raises(ValueError, match="cannot be used to seed"):
        tiny(random_state="x")._seed()


def test_parameters_reach_the_run(tmp_path: Path, two: tuple[list[str], list[str]], tiny_texts: Texts) -> None:
    other = [(label, text) for label, text in tiny_texts[400:] if label != "neutral"]
    valid = ([text for _, text in other], [label for label, _ in other])
    run = tmp_path / "run"
    estimator = tiny(cell="gru", learning_rate=0.004, random_state=5, run=run, valid=valid).fit(*two)
    config = estimator.classifier_.config
    assert (config.model.cell, config.training.learning_rate, config.seed) == ("gru", 0.004, 5)
    assert config.training.epochs == 1
    assert config.model.encoder_units == 16
    assert (run / "best" / "weights.safetensors").is_file()
    assert len((run / "data" / "valid.text.txt").read_text(encoding="utf-8").splitlines()) == len(other)
    loaded = SentimentClassifier.load(run)
    np.testing.assert_allclose(loaded.predict_proba(valid[0]), estimator.predict_proba(valid[0]), atol=1e-6)
    assert loaded.predict(valid[0]).tolist() == estimator.predict(valid[0]).tolist()
    # The same texts again: the run is finished, and is loaded.
    np.testing.assert_array_equal(clone(estimator).fit(*two).predict(two[0]), estimator.predict(two[0]))
    with pytest.raises(RunDirectoryError, match=r"^the texts given to fit: has changed since the run"):
        clone(estimator).fit(two[0][:60], two[1][:60])


def test_load_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"no run here; expected run\.json; train one with `classifiers train`"):
        SentimentClassifier.load(tmp_path / "none")


def test_load_a_run(tiny_run: Path) -> None:
    estimator = SentimentClassifier.load(str(tiny_run))
    assert estimator.classes_.tolist() == ["negative", "neutral", "positive"]
    predictions = estimator.classifier_.predict(["the film is long."])
    assert estimator.predict(["the film is long."]).tolist() == [predictions[0].label]
    assert not hasattr(estimator, "report_")
    assert estimator.get_params() == SentimentClassifier().get_params()


def test_explain(tiny_run: Path) -> None:
    (found,) = SentimentClassifier.load(tiny_run).explain(["the film is long."], method="attention")
    assert [one.word for one in found.words] == ["the", "film", "is", "long", "."]


def test_verbose_shows_how_training_goes(two: tuple[list[str], list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    tiny(verbose=1).fit(*two)
    shown = capsys.readouterr()
    assert "validation" in shown.err and shown.out == ""


def test_pickle_and_joblib(fitted: SentimentClassifier, two: tuple[list[str], list[str]]) -> None:
    stream = io.BytesIO()
    joblib.dump(fitted, stream)
    stream.seek(0)
    for copy in (pickle.loads(pickle.dumps(fitted)), joblib.load(stream)):
        np.testing.assert_allclose(copy.predict_proba(two[0]), fitted.predict_proba(two[0]), atol=1e-6)
        assert copy.get_params() == fitted.get_params()


# Several labels a text


def several(tiny_texts: Texts) -> tuple[list[str], list[set[str]]]:
    names = {"negative": {"bad"}, "neutral": set(), "positive": {"good"}}
    chosen = tiny_texts[:120]
    labels = [names[label] | ({"film"} if "film" in text or "song" in text else set()) for label, text in chosen]
    return [text for _, text in chosen], labels


def test_sets_of_labels(tiny_texts: Texts) -> None:
    texts, labels = several(tiny_texts)
    estimator = learning().fit(texts, labels)
    assert estimator.classes_.tolist() == ["bad", "film", "good"]
    predicted = estimator.predict(texts)
    assert predicted.shape == (120,) and all(isinstance(one, tuple) for one in predicted)
    right = np.mean([set(one) == label for one, label in zip(predicted, labels, strict=True)])
    assert estimator.score(texts, labels) == pytest.approx(right)
    assert right > 0.6
    assert estimator.score(texts, [sorted(label) for label in labels]) == pytest.approx(right)
    with pytest.raises(EstimatorInputError, match="labels of another form than those of fit"):
        estimator.score(texts, ["bad"] * len(texts))


@pytest.mark.parametrize(
    "form",
    [
        np.array,
        pytest.param(sparse.csr_array, marks=pytest.mark.slow),
        pytest.param(lambda matrix: matrix.tolist(), marks=pytest.mark.slow),
    ],
)
def test_an_indicator_matrix_of_labels(tiny_texts: Texts, form: Callable[[npt.NDArray[Any]], Any]) -> None:
    texts, labels = several(tiny_texts)
    matrix = np.array([[name in label for name in ("bad", "film", "good")] for label in labels], np.int64)
    estimator = tiny().fit(texts, form(matrix))
    predicted = estimator.predict(texts)
    assert (predicted.shape, predicted.dtype) == (matrix.shape, matrix.dtype)
    assert estimator.classes_.tolist() == [0, 1, 2]
    assert estimator.score(texts, form(matrix)) == pytest.approx(accuracy_score(matrix, predicted))
    assert estimator.predict_proba(texts).shape == matrix.shape


# Inside scikit-learn


def test_pipeline(two: tuple[list[str], list[str]]) -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = make_pipeline(lower, learning()).fit(*two)
    assert pipeline.score([text.upper() for text in two[0]], two[1]) > 0.9
    assert pipeline.classes_.tolist() == ["negative", "positive"]


def test_cross_val_score(two: tuple[list[str], list[str]]) -> None:
    scores = cross_val_score(tiny(), *two, cv=2, error_score="raise")
    assert scores.shape == (2,) and ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.slow
def test_cross_val_score_of_probabilities(two: tuple[list[str], list[str]]) -> None:
    scores = cross_val_score(tiny(), *two, cv=2, scoring="roc_auc", error_score="raise")
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.slow
def test_grid_search(two: tuple[list[str], list[str]]) -> None:
    grid = {"cell": ["gru", "simple_rnn"]}
    search = GridSearchCV(tiny(), grid, cv=2, error_score="raise").fit(*two)
    assert search.predict(two[0][:3]).shape == (3,)
    assert search.best_estimator_.classifier_.config.model.cell == search.best_params_["cell"]
    assert len(search.cv_results_["mean_test_score"]) == 2


def test_clone_and_parameters() -> None:
    estimator = SentimentClassifier(epochs=3, cell="gru", settings=("model.encoder_units=8",), random_state=2)
    copy = clone(estimator)
    assert copy is not estimator and copy.get_params() == estimator.get_params()
    assert copy.set_params(epochs=4).epochs == 4 and estimator.epochs == 3
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        copy.set_params(epoch=4)
    assert repr(estimator).startswith("SentimentClassifier(cell='gru', epochs=3")


def test_a_clone_of_a_fitted_one_is_not_fitted(fitted: SentimentClassifier) -> None:
    check_is_fitted(fitted)
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        clone(fitted).predict(["a"])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "explain"])
def test_before_fit(method: str) -> None:
    with pytest.raises(NotFittedError, match="SentimentClassifier instance is not fitted yet"):
        getattr(SentimentClassifier(), method)(["a"])
    with pytest.raises(NotFittedError):
        SentimentClassifier().score(["a"], ["b"])


def test_tags() -> None:
    tags = get_tags(SentimentClassifier())
    assert is_classifier(SentimentClassifier())
    assert (tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array) == (True, True, False)
    assert tags.classifier_tags is not None and tags.classifier_tags.multi_label and tags.classifier_tags.multi_class
    assert tags.target_tags.required and tags.requires_fit and not tags.non_deterministic


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_estimator_repr",
        "check_no_attributes_set_in_init",
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_mixin_order",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimators_unfitted",
        "check_estimator_sparse_tag",
        "check_non_transformer_estimators_n_iter",
        "check_decision_proba_consistency",
    ],
)
def test_scikit_learn_s_checks_of_parameters_and_tags(check: str) -> None:
    getattr(estimator_checks, check)("SentimentClassifier", SentimentClassifier())


class RowsAsTexts(SentimentClassifier):
    """Writes each row of numbers as a text, for checks that know no texts: the whole part of each is a word."""

    def fit(self, X: Any, y: Any) -> RowsAsTexts:  # noqa: N803
        super().fit(written(X), y)
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        check_is_fitted(self)
        return super().predict_proba(written(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Else the checks take one column only.
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, True
        return tags


def written(rows: Any) -> Any:
    if not isinstance(rows, np.ndarray):
        return rows
    return [" ".join(f"{'abcdef'[place % 6]}{float(value):.3f}" for place, value in enumerate(row)) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [
        "check_fit_score_takes_y",
        "check_estimators_overwrite_params",
        "check_dont_overwrite_parameters",
        "check_estimators_fit_returns_self",
        "check_dict_unchanged",
        "check_fit_idempotent",
        "check_fit_check_is_fitted",
        "check_pipeline_consistency",
        "check_estimators_pickle",
        "check_classifiers_one_label",
        "check_classifiers_regression_target",
        "check_supervised_y_no_nan",
        "check_requires_y_none",
        "check_classifiers_multilabel_output_format_predict",
        "check_classifiers_multilabel_output_format_predict_proba",
        "check_classifiers_multilabel_representation_invariance",
    ],
)
def test_scikit_learn_s_checks_that_fit(check: str) -> None:
    getattr(estimator_checks, check)("SentimentClassifier", RowsAsTexts(epochs=1, settings=TINY))


# What users hand over wrongly


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a film", r"^X: received one text, expected a list of texts; write \['a film'\]$"),
        (b"a film", "^X: received one text"),
        (5, "^X: received int 5, expected a list of texts"),
        (None, "^X: received NoneType None, expected a list of texts"),
        (["a", 3], r"^X\[1\]: received int 3, expected text; give the texts themselves$"),
        (["a", None], r"^X\[1\]: received NoneType None, expected text; fill or drop missing texts$"),
        (["a", float("nan")], r"^X\[1\]: received float nan, expected text; fill or drop missing texts$"),
        ([b"a"], r"^X\[0\]: received bytes b'a', expected text"),
        (np.zeros(3), r"^X\[0\]: received float 0.0, expected text"),
        (
            np.array([["a"], ["b"]]),
            r"^X: received an array of shape \[2, 1\], expected \[texts\].*of several columns",
        ),
        (sparse.csr_array(np.eye(2)), "^X: received a sparse matrix, expected texts"),
        ([["a"]], r"^X\[0\]: received list \['a'\], expected text"),
    ],
)
def test_wrong_texts(fitted: SentimentClassifier, texts: Any, message: str) -> None:
    for call in (lambda: fitted.predict(texts), lambda: SentimentClassifier().fit(texts, ["a", "b"])):
        with pytest.raises(EstimatorInputError, match=message):
            call()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "requires y to be passed, but the target y is None; give a label for each text"),
        ("ab", r"^y: received one label, expected a list of labels; write \['ab'\]"),
        (7, "^y: received int 7, expected a list of labels"),
        (["a"], "^received 2 texts and 1 labels in y; expected as many of each"),
        (["a", "a"], "^y: received the class 'a' only; expected two classes at least"),
        ([set(), set()], "^y: received no class at all; expected two classes at least"),
        (["a", None], "^y: label 1 is NoneType None; fill or drop missing labels"),
        ([1.0, float("nan")], "^y: label 1 is float nan; fill or drop missing labels"),
        ([1.0, float("inf")], "^y: label 1 is float inf"),
        (["a", 1], "^y: label 1 is int 1 among labels that are text; expected labels of one kind"),
        ([0.5, 1.25], "^y: Unknown label type: continuous"),
        (["a", ""], "^y: received the label ''; expected a name without control characters"),
        (["a", "a "], "^y: received the label 'a '; expected a name .* without white space around it"),
        (["a", "b\tc"], r"^y: received the label 'b\\tc'; expected a name without control"),
        ([{"a"}, "b"], r"^y\[1\]: received str 'b', but y\[0\] holds several labels; give a set or a list"),
        (np.array([[1, 2], [3, 4]]), "^y: received multiclass-multioutput of shape .*Unknown label type: expected one"),
    ],
)
def test_wrong_labels(labels: Any, message: str) -> None:
    with pytest.raises(EstimatorInputError, match=message):
        SentimentClassifier().fit(["a film", "a book"], labels)


def test_no_texts() -> None:
    with pytest.raises(EstimatorInputError, match=r"^X: received 0 texts, expected one at least"):
        SentimentClassifier().fit([], [])


def test_a_column_of_labels_is_read_and_it_is_said() -> None:
    with (
        pytest.warns(DataConversionWarning, match="column-vector"),
        pytest.raises(EstimatorInputError, match="the class '1' only"),
    ):
        SentimentClassifier().fit(["a", "b"], np.array([[1], [1]]))


def test_errors_are_those_of_the_house_and_of_scikit_learn() -> None:
    assert issubclass(EstimatorInputError, ValueError) and issubclass(EstimatorInputError, InputError)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"cell": "transformer"}, ConfigurationError, "model.cell: received \"transformer\", expected 'gru', 'lstm'"),
        ({"epochs": 0}, ConfigurationError, "training.epochs: received 0, expected 1 or more"),
        ({"learning_rate": -1.0}, ConfigurationError, "training.learning_rate: received -1.0, expected more than 0"),
        ({"settings": ("model.cel=gru",)}, ConfigurationError, "unknown key model.cel; did you mean model.cell"),
        (
            {"settings": "model.cell=gru"},
            EstimatorInputError,
            r"settings: received one text, expected a list; ",
        ),
        (
            {"settings": ("corpus.train=x",)},
            EstimatorInputError,
            "settings: received .corpus.train=x.; the corpus",
        ),
        ({"random_state": -1}, ConfigurationError, "seed: received -1, expected 0 or more"),
        ({"valid": 3}, EstimatorInputError, r"valid: received int, expected a pair \(texts, labels\)"),
        ({"valid": (["x"], [1, 2])}, EstimatorInputError, r"received 1 texts and 2 labels in valid\[1\]"),
        ({"valid": (["x"], ["c"])}, EstimatorInputError, "valid: received the class 'c', which y does not have"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SentimentClassifier(**parameters).fit(["a film", "a book"], ["a", "b"])
