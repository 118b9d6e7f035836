"""TrainingCurveDisplay: the recorded figures, the panels, the threshold."""

import numpy as np
import pytest
from figures import legend_of, overlaps, plt
from helpers import make_sequences, plain_classifier, plain_regressor
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from sklearn_rnn.inspection import TrainingCurveDisplay

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

X = make_sequences((5, 1, 7, 3, 5, 4))
Y = np.random.default_rng(0).normal(size=6)


def make_fitted(with_validation=True, **parameters):
    parameters = {"max_iter": 6, "random_state": 0} | parameters
    return plain_regressor((3,), **parameters).fit(X, Y, **({"X_val": X, "y_val": Y} if with_validation else {}))


def test_the_arrays_are_the_records_of_the_estimator():
    regressor = make_fitted(clip_norm=0.3)
    display = TrainingCurveDisplay.from_estimator(regressor)
    assert_array_equal(display.losses, regressor.loss_curve_)
    assert_array_equal(display.validation_losses, regressor.validation_loss_curve_)
    assert_array_equal(display.validation_scores, regressor.validation_scores_)
    assert_array_equal(display.gradient_norms, regressor.gradient_norms_)
    assert (display.clip_norm, display.clipped_fraction) == (0.3, regressor.clipped_fraction_)
    assert display.first_epoch == 1


def test_the_lines_are_the_arrays_by_epoch():
    display = TrainingCurveDisplay.from_estimator(make_fitted(clip_norm=0.3))
    arrays = {
        "loss": display.losses,
        "validation_loss": display.validation_losses,
        "score": display.validation_scores,
        "gradient_norm": display.gradient_norms,
    }
    for name, array in arrays.items():
        assert_array_equal(display.lines_[name].get_xdata(), np.arange(1, 7))
        assert_array_equal(display.lines_[name].get_ydata(), array)
    assert set(display.lines_["clip_norm"].get_ydata()) == {0.3}


def test_there_are_three_panels_with_labels_and_norms_on_a_logarithmic_axis():
    display = TrainingCurveDisplay.from_estimator(make_fitted())
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "validation score", "gradient norm\nbefore clipping"]
    assert [ax.get_xlabel() for ax in display.axes_] == ["", "", "epoch"]
    assert display.axes_[2].get_yscale() == "log"
    assert legend_of(display.ax_) == ["training", "validation"]
    assert display.ax_ is display.axes_[0]
    assert display.figure_ is display.ax_.figure


def test_without_validation_there_is_no_panel_of_scores():
    display = TrainingCurveDisplay.from_estimator(make_fitted(with_validation=False))
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "gradient norm\nbefore clipping"]
    assert legend_of(display.ax_) == ["training"]


def test_a_loss_that_falls_far_has_a_logarithmic_axis():
    assert TrainingCurveDisplay(losses=[1.0, 0.05]).plot().ax_.get_yscale() == "log"
    assert TrainingCurveDisplay(losses=[1.0, 0.5]).plot().ax_.get_yscale() == "linear"
    assert TrainingCurveDisplay(losses=[1.0, 0.0]).plot().ax_.get_yscale() == "linear"
    assert TrainingCurveDisplay(losses=[1.0, np.inf, np.nan]).plot().ax_.get_yscale() == "linear"


@pytest.mark.parametrize(
    ("parameters", "threshold"),
    [
        ({"solver": "sgd", "clip_norm": "auto"}, 1.0),
        ({"solver": "adam", "clip_norm": "auto", "clip_update": 1.0}, 1e9),
        ({"solver": "adam", "clip_norm": None}, None),
        ({"solver": "lbfgs", "clip_norm": 0.1}, None),
    ],
)
def test_the_threshold_is_the_one_that_training_uses(parameters, threshold):
    assert TrainingCurveDisplay.from_estimator(make_fitted(**parameters)).clip_norm == threshold


def test_a_threshold_far_above_the_norms_is_not_drawn():
    display = TrainingCurveDisplay(losses=[1.0], gradient_norms=[0.5], clip_norm=1e9, clipped_fraction=0.0).plot()
    assert "clip_norm" not in display.lines_
    assert legend_of(display.axes_[1]) == ["0 % clipped"]
    near = TrainingCurveDisplay(losses=[1.0], gradient_norms=[0.5], clip_norm=2.0, clipped_fraction=0.125).plot()
    assert legend_of(near.axes_[1]) == ["12.5 % clipped", "clip_norm=2"]


def test_epochs_that_are_no_longer_remembered_count(monkeypatch):
    monkeypatch.setattr("sklearn_rnn._training.history.N_REMEMBERED", 4)
    regressor = make_fitted(with_validation=False)
    display = TrainingCurveDisplay.from_estimator(regressor)
    assert_array_equal(display.lines_["loss"].get_xdata(), [3, 4, 5, 6])


def test_validation_records_of_some_calls_alone_are_left_out_with_a_warning():
    regressor = make_fitted().partial_fit(X, Y)
    with pytest.warns(UserWarning, match=r"validation_loss_curve_ has 6 entries for 7 epochs"):
        display = TrainingCurveDisplay.from_estimator(regressor)
    assert display.validation_losses is None
    assert display.validation_scores is None
    assert len(display.axes_) == 2


def test_two_estimators_share_axes_and_have_names_and_colors():
    regressor = make_fitted()
    first = TrainingCurveDisplay.from_estimator(regressor, name="a")
    second = TrainingCurveDisplay.from_estimator(regressor, name="b", ax=first.axes_)
    assert_array_equal(second.axes_, first.axes_)
    assert legend_of(first.ax_) == ["a: training", "a: validation", "b: training", "b: validation"]
    for name in ("loss", "gradient_norm"):
        assert first.lines_[name].get_color() != second.lines_[name].get_color()
    assert second.lines_["loss"].get_color() == second.lines_["validation_loss"].get_color()


def test_panels_are_chosen_and_ordered():
    display = TrainingCurveDisplay.from_estimator(make_fitted(), panels=["score", "loss"], score_name="$R^2$")
    assert [ax.get_ylabel() for ax in display.axes_] == ["$R^2$", "loss"]


def test_one_axes_is_divided():
    figure, ax = plt.subplots()
    display = TrainingCurveDisplay.from_estimator(make_fitted(), ax=ax)
    assert display.figure_ is figure
    assert len(display.axes_) == 3
    assert not ax.axison
    single = TrainingCurveDisplay.from_estimator(make_fitted(), ax=plt.figure().add_subplot(), panels=["loss"])
    assert len(single.figure_.axes) == 1


def test_plotting_again_makes_a_new_figure_with_the_same_lines():
    display = TrainingCurveDisplay.from_estimator(make_fitted())
    first = display.figure_
    assert display.plot() is display
    assert display.figure_ is not first
    assert_array_equal(display.lines_["loss"].get_ydata(), display.losses)


@pytest.mark.parametrize("n_epochs", [1, 30, 1000])
@pytest.mark.parametrize("with_validation", [True, False])
def test_no_texts_overlap(n_epochs, with_validation):
    losses = np.geomspace(1, 1e-3, n_epochs) * np.random.default_rng(0).uniform(0.5, 1, size=n_epochs)
    validation = {"validation_losses": losses, "validation_scores": 1 - losses} if with_validation else {}
    display = TrainingCurveDisplay(
        losses=losses, gradient_norms=losses, clip_norm=0.1, clipped_fraction=0.25, **validation
    )
    assert not overlaps(display.plot().figure_)


def test_lines_take_the_callers_arguments():
    display = TrainingCurveDisplay.from_estimator(make_fitted(), line_kw={"lw": 4, "c": "red"})
    lines = [line for name, line in display.lines_.items() if name != "clip_norm"]
    assert {(line.get_linewidth(), line.get_color()) for line in lines} == {(4, "red")}


def test_an_estimator_without_validation_does_not_shift_the_colors_of_the_next():
    axes = TrainingCurveDisplay.from_estimator(make_fitted(), name="a").axes_
    without = TrainingCurveDisplay.from_estimator(
        make_fitted(with_validation=False), name="b", ax=axes[[0, 2]], panels=["loss", "gradient_norm"]
    )
    last = TrainingCurveDisplay.from_estimator(make_fitted(), name="c", ax=axes)
    assert len({line.get_color() for line in last.lines_.values()}) == 1
    assert without.lines_["loss"].get_color() != last.lines_["loss"].get_color()


def test_bad_arguments_are_refused():
    regressor = make_fitted(with_validation=False)
    with pytest.raises(NotFittedError):
        TrainingCurveDisplay.from_estimator(plain_classifier())
    with pytest.raises(TypeError, match=r"^estimator is a str, but it must be an RNNClassifier or RNNRegressor"):
        TrainingCurveDisplay.from_estimator("estimator")
    with pytest.raises(ValueError, match=r"^panels='losses' is not known"):
        TrainingCurveDisplay.from_estimator(regressor, panels=["losses"])
    with pytest.raises(ValueError, match=r"^panels has 'score', but there are no such figures: pass X_val"):
        TrainingCurveDisplay.from_estimator(regressor, panels=["score"])
    with pytest.raises(ValueError, match=r"^panels='loss' must be a list"):
        TrainingCurveDisplay.from_estimator(regressor, panels="loss")
    with pytest.raises(ValueError, match=r"^ax has 3 axes, but 2 are needed, for loss, gradient_norm"):
        TrainingCurveDisplay.from_estimator(regressor, ax=plt.subplots(3)[1])
    with pytest.raises(ValueError, match=r"^ax has no place in a grid of subplots"):
        TrainingCurveDisplay.from_estimator(regressor, ax=plt.figure().add_axes((0.1, 0.1, 0.8, 0.8)))
