"""HiddenStatesDisplay and StepPredictionDisplay: one sequence, step by step."""

import numpy as np
import pandas as pd
import pytest
from figures import legend_of, overlaps, plt
from helpers import make_sequences, plain_classifier, plain_regressor
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.inspection import HiddenStatesDisplay, StepPredictionDisplay
from sklearn_rnn.preprocessing import TimeDistributed

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

LENGTHS = (5, 1, 7, 3, 5)
X = make_sequences(LENGTHS)
RNG = np.random.default_rng(4)
VALUES = [RNG.normal(size=n) for n in LENGTHS]
LABELS = [np.array(["low", "middle", "high"], dtype=object)[RNG.integers(3, size=n)] for n in LENGTHS]


def make_regressor(y=VALUES, **parameters):
    return plain_regressor((4,), **{"readout": "each", "max_iter": 2, "random_state": 0} | parameters).fit(X, y)


def make_classifier(y=LABELS):
    return plain_classifier((4,), readout="each", max_iter=2, random_state=0).fit(X, y)


# ---- HiddenStatesDisplay -----------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 1, -3])
def test_the_image_has_the_states_of_one_sequence_in_the_order_of_the_units(index):
    regressor = make_regressor()
    display = HiddenStatesDisplay.from_estimator(regressor, X, index=index)
    assert_array_equal(display.hidden_states, regressor.hidden_states(X)[index])
    assert sorted(display.unit_order) == [0, 1, 2, 3]
    assert_array_equal(display.image_.get_array(), display.hidden_states[:, display.unit_order].T)
    assert display.ax_.get_xlabel() == "network step"
    assert display.ax_.get_ylabel() == "units, similar ones side by side"
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == [str(unit) for unit in display.unit_order]
    assert display.colorbar_.ax.get_ylabel() == "hidden state"


def test_similar_units_are_side_by_side():
    wave, decay = np.sin(np.arange(20)), 0.9 ** np.arange(20)
    states = np.transpose([wave, decay, 0.9 * wave, 0.9 * decay])
    order = HiddenStatesDisplay.from_hidden_states(states).unit_order.tolist()
    assert abs(order.index(0) - order.index(2)) == 1
    assert abs(order.index(1) - order.index(3)) == 1


@pytest.mark.parametrize("states", [np.full((4, 5), np.nan), np.ones((4, 600)), np.zeros((1, 3), np.float32)])
def test_any_states_are_ordered(states):
    display = HiddenStatesDisplay.from_hidden_states(states)
    assert sorted(display.unit_order) == list(range(states.shape[1]))


def test_units_are_ordered_by_the_step_of_their_peak():
    states = np.eye(5)[:, [3, 1, 4, 0, 2]]
    display = HiddenStatesDisplay.from_hidden_states(states, order="peak")
    assert_array_equal(display.image_.get_array(), np.eye(5))
    assert display.ax_.get_ylabel() == "units, by step of their peak"


def test_units_may_keep_their_order():
    display = HiddenStatesDisplay.from_hidden_states(np.eye(5)[:, ::-1], order=None)
    assert_array_equal(display.unit_order, np.arange(5))
    assert display.ax_.get_ylabel() == "units"


def test_white_is_the_state_0():
    display = HiddenStatesDisplay.from_hidden_states([[0.1, -0.4], [np.nan, 0.3]])
    assert display.image_.get_clim() == (-0.4, 0.4)
    assert HiddenStatesDisplay.from_hidden_states(np.zeros((3, 2))).image_.get_clim() == (-1.0, 1.0)


def test_the_states_are_drawn_again_on_other_axes():
    display = HiddenStatesDisplay.from_estimator(make_regressor(), X)
    figure, ax = plt.subplots()
    assert display.plot(ax, colorbar=False, cmap="PuOr", im_kw={"vmin": -2}) is display
    assert (display.ax_, display.figure_, display.colorbar_) == (ax, figure, None)
    assert display.image_.get_cmap().name == "PuOr"
    assert display.image_.get_clim()[0] == -2


@pytest.mark.parametrize(
    ("n_units", "order"), [(1, "similarity"), (2, "peak"), (16, None), (128, "similarity"), (128, "peak")]
)
@pytest.mark.parametrize("n_steps", [1, 1000])
def test_no_texts_of_states_overlap(n_steps, n_units, order):
    states = np.tanh(np.random.default_rng(0).normal(size=(n_steps, n_units)))
    display = HiddenStatesDisplay.from_hidden_states(states, order=order)
    assert sorted(display.unit_order) == list(range(n_units))
    assert not overlaps(display.figure_)


def test_bad_arguments_for_states_are_refused():
    regressor = make_regressor()
    with pytest.raises(NotFittedError):
        HiddenStatesDisplay.from_estimator(plain_regressor(), X)
    with pytest.raises(TypeError, match=r"^estimator is a Pipeline, .* pass its last step"):
        HiddenStatesDisplay.from_estimator(make_pipeline(regressor), X)
    with pytest.raises(ValueError, match=r"^index=5 is out of range: X has 5 sequences. Choose -5 to 4"):
        HiddenStatesDisplay.from_estimator(regressor, X, index=5)
    with pytest.raises(TypeError, match=r"^index is 1.0, but it must be an integer"):
        HiddenStatesDisplay.from_estimator(regressor, X, index=1.0)
    with pytest.raises(ValueError, match=r"^order='size' is not known. Choose one of 'similarity', 'peak', None"):
        HiddenStatesDisplay.from_estimator(regressor, X, order="size")
    with pytest.raises(ValueError, match=r"^order=\['peak'\] is not known"):
        HiddenStatesDisplay.from_estimator(regressor, X, order=["peak"])
    with pytest.raises(ValueError, match=r"^hidden_states has shape \(2, 3, 4\)"):
        HiddenStatesDisplay.from_hidden_states(np.zeros((2, 3, 4)))
    assert not plt.get_fignums()


# ---- StepPredictionDisplay: values -------------------------------------------------------------------


def test_the_lines_are_targets_and_predictions():
    regressor = make_regressor()
    display = StepPredictionDisplay.from_estimator(regressor, X, VALUES, index=2)
    assert_array_equal(display.y_true, VALUES[2])
    assert_array_equal(display.y_pred, regressor.predict(X)[2])
    for line, values in zip(display.lines_, (display.y_true, display.y_pred), strict=True):
        assert_array_equal(line.get_ydata(), values)
    assert (display.classes, display.images_) == (None, None)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("step", "target")
    assert legend_of(display.ax_) == ["true", "predicted"]


def test_one_of_several_outputs_is_drawn():
    y = [np.stack([values, 2 * values], axis=1) for values in VALUES]
    display = StepPredictionDisplay.from_estimator(make_regressor(y), X, y, output=1)
    assert_array_equal(display.y_true, y[0][:, 1])
    with pytest.raises(ValueError, match=r"^output=2 is out of range: y has 2 outputs. Choose -2 to 1"):
        StepPredictionDisplay.from_estimator(make_regressor(y), X, y, output=2)
    with pytest.raises(TypeError, match=r"^output is 'speed', but it must be an integer"):
        StepPredictionDisplay.from_estimator(make_regressor(y), X, y, output="speed")


def test_unknown_values_are_gaps_and_known_ones_between_them_are_seen():
    display = StepPredictionDisplay.from_predictions([None, 1.5, pd.NA, 2.5], [1.0, 1.0, 1.0, 1.0])
    assert_array_equal(display.y_true, [np.nan, 1.5, np.nan, 2.5])
    long = StepPredictionDisplay.from_predictions(np.where(np.arange(200) % 2, 1.0, np.nan), np.zeros(200))
    assert long.lines_[0].get_marker() == "."


def test_a_pipeline_is_drawn_too():
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), make_regressor()).fit(X, VALUES)
    display = StepPredictionDisplay.from_estimator(pipeline, X, VALUES, index=-1)
    assert_array_equal(display.y_pred, pipeline.predict(X)[-1])


# ---- StepPredictionDisplay: classes ------------------------------------------------------------------


def test_classes_are_bands_of_colors():
    y_true, y_pred = ["a", "b", None, "b"], ["a", "a", "b", "b"]
    display = StepPredictionDisplay.from_predictions(y_true, y_pred, classes=["a", "b", "c"])
    true, predicted, wrong = (display.images_[name].get_array()[0] for name in ("true", "predicted", "wrong"))
    colors = {"a": predicted[0].tolist(), "b": predicted[2].tolist()}
    assert colors["a"] != colors["b"]
    assert [color.tolist() for color in predicted] == [colors[label] for label in y_pred]
    assert [true[step].tolist() for step in (0, 1, 3)] == [colors[y_true[step]] for step in (0, 1, 3)]
    assert true[2, 3] == 0  # transparent
    assert_array_equal(wrong[:, 3], [0, 1, 0, 0])
    assert legend_of(display.ax_) == ["a", "b"]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["true", "predicted", "wrong"]
    assert display.lines_ is None


def test_the_bands_are_targets_and_predictions_of_a_classifier():
    classifier = make_classifier()
    display = StepPredictionDisplay.from_estimator(classifier, X, LABELS, index=2)
    assert_array_equal(display.y_true, LABELS[2])
    assert_array_equal(display.y_pred, classifier.predict(X)[2])
    assert_array_equal(display.classes, classifier.classes_)
    assert set(legend_of(display.ax_)) == set(display.y_true) | set(display.y_pred)


@pytest.mark.parametrize("kind", [int, bool, float])
def test_labels_of_numbers_are_classes_too(kind):
    y = [(values > 0).astype(kind) for values in VALUES]
    display = StepPredictionDisplay.from_estimator(make_classifier(y), X, y)
    assert len(display.classes) == 2
    assert len(display.images_) == 3


def test_the_legend_names_the_most_frequent_of_many_classes():
    labels = np.repeat(np.arange(40), np.arange(1, 41))
    display = StepPredictionDisplay.from_predictions(labels, labels, classes=np.arange(40))
    assert legend_of(display.ax_) == [str(label) for label in range(10, 40)] + ["and 10 more"]


def test_predictions_are_drawn_again_on_other_axes():
    display = StepPredictionDisplay.from_estimator(make_classifier(), X, LABELS)
    figure, ax = plt.subplots()
    assert display.plot(ax) is display
    assert (display.ax_, display.figure_) == (ax, figure)
    assert len(ax.images) == 3


@pytest.mark.parametrize("n_classes", [None, 2, 10, 25, 60])
@pytest.mark.parametrize("n_steps", [1, 60, 1000])
def test_no_texts_of_predictions_overlap(n_steps, n_classes):
    generator = np.random.default_rng(0)
    if n_classes is None:
        display = StepPredictionDisplay.from_predictions(*generator.normal(size=(2, n_steps)))
    else:
        classes = np.array([f"class {i}" for i in range(n_classes)])
        display = StepPredictionDisplay.from_predictions(
            *classes[generator.integers(n_classes, size=(2, n_steps))], classes=classes
        )
    assert not overlaps(display.figure_)


def test_bad_arguments_for_predictions_are_refused():
    with pytest.raises(NotFittedError):
        StepPredictionDisplay.from_estimator(plain_regressor(), X, VALUES)
    once = plain_classifier((4,), max_iter=1).fit(X, [0, 1, 0, 1, 0])
    with pytest.raises(ValueError, match=r"^estimator predicts once for each sequence, .* Set readout='each'"):
        StepPredictionDisplay.from_estimator(once, X, LABELS)
    regressor = make_regressor()
    with pytest.raises(ValueError, match=r"^index=-6 is out of range: X has 5 sequences"):
        StepPredictionDisplay.from_estimator(regressor, X, VALUES, index=-6)
    with pytest.raises(ValueError, match=r"^y is for 4 sequences, but X is for 5"):
        StepPredictionDisplay.from_estimator(regressor, X, VALUES[:4])
    with pytest.raises(ValueError, match=r"^y\[2\] has shape \(6,\), but the predictions for X\[2\] have \(7,\)"):
        StepPredictionDisplay.from_estimator(regressor, X, [*VALUES[:2], VALUES[2][:6], *VALUES[3:]], index=2)
    with pytest.raises(ValueError, match=r"^y_true has labels, but classes=None"):
        StepPredictionDisplay.from_predictions(["a", "b"], ["a", "b"])
    with pytest.raises(ValueError, match=r"^y_pred\[1\] is 'c', which is none of the 2 classes .the first one is 'a'"):
        StepPredictionDisplay.from_predictions(["a", "b"], ["a", "c"], classes=["a", "b"])
    with pytest.raises(ValueError, match=r"^y_pred has 3 steps, but y_true has 2"):
        StepPredictionDisplay.from_predictions([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"^y_true has shape \(2, 1\), but one value for each step is needed"):
        StepPredictionDisplay.from_predictions([[1.0], [2.0]], [1.0, 2.0])
    assert not plt.get_fignums()
