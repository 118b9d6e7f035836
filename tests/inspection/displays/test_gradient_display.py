"""GradientFlowDisplay and TruncationBiasDisplay: the figures of gradient_flow and truncation_bias."""

import copy

import numpy as np
import pytest
from figures import legend_of, overlaps, plt
from helpers import make_sequences, plain_regressor, randomize
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from sklearn_rnn.inspection import GradientFlowDisplay, TruncationBiasDisplay, gradient_flow, truncation_bias

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

LENGTHS = (5, 1, 7, 3, 5)
X = make_sequences(LENGTHS)
Y = np.random.default_rng(4).normal(size=(5, 2))
QUANTITIES = (
    "hidden_norms",
    "preactivation_norms",
    "recurrent_norms",
    "dropped_share",
    "singular_values",
    "max_singular_values",
)


def make_fitted(cell="gru", sizes=(3, 4), **parameters):
    regressor = plain_regressor(sizes, cell=cell, readout="last", max_iter=1, random_state=0, **parameters).fit(X, Y)
    randomize(regressor.weights_)
    return regressor


# ---- GradientFlowDisplay -----------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_lines_are_the_flow(quantity):
    regressor = make_fitted()
    expected = gradient_flow(regressor, X, Y)
    display = GradientFlowDisplay.from_estimator(regressor, X, Y, quantity=quantity)
    (lines,) = display.lines_.values()
    assert len(lines) == 2
    for line, drawn, layer in zip(lines, display.flows["RNNRegressor"].layers, expected.layers, strict=True):
        assert_array_equal(drawn[quantity], layer[quantity])
        figures = layer[quantity]
        assert_array_equal(line.get_ydata(), np.where(figures > 0, figures, np.nan))
        assert_array_equal(line.get_xdata(), np.arange(len(figures)))
    assert display.ax_.get_yscale() == "log"
    assert "network steps" in display.ax_.get_xlabel()
    assert display.ax_.get_ylabel()


def test_estimators_have_colors_and_their_layers_styles():
    estimators = {"first": make_fitted(), "second": make_fitted("rnn")}
    display = GradientFlowDisplay.from_estimators(estimators, X, Y, n_iterations=0)
    assert legend_of(display.ax_) == [f"{name}, layer {depth}" for name in estimators for depth in (1, 2)]
    (a, b), (c, d) = display.lines_.values()
    assert a.get_color() == b.get_color() != c.get_color() == d.get_color()
    assert a.get_linestyle() == c.get_linestyle() != b.get_linestyle() == d.get_linestyle()


def test_one_estimator_has_a_color_for_each_layer():
    display = GradientFlowDisplay.from_estimator(make_fitted(), X, Y, name="gru")
    first, second = display.lines_["gru"]
    assert first.get_color() != second.get_color()
    assert legend_of(display.ax_) == ["gru, layer 1", "gru, layer 2"]
    assert legend_of(GradientFlowDisplay.from_estimator(make_fitted(sizes=(3,)), X, Y, name="gru").ax_) == ["gru"]


def test_copies_of_an_estimator_show_its_epochs_side_by_side():
    regressor, epochs = make_fitted(), {}
    for epoch in (1, 2):
        epochs[f"epoch {epoch}"] = copy.deepcopy(regressor.partial_fit(X, Y))
    first, second = GradientFlowDisplay.from_estimators(epochs, X, Y, n_iterations=0).flows.values()
    assert first.loss != second.loss


def test_a_flow_is_drawn_again_with_another_quantity_and_on_other_axes():
    display = GradientFlowDisplay.from_estimator(make_fitted(), X, Y)
    _, axes = plt.subplots(1, 2)
    for ax, quantity in zip(axes, ("recurrent_norms", "singular_values")):
        assert display.plot(ax, quantity=quantity) is display
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
    assert axes[0].get_ylabel() != axes[1].get_ylabel()
    assert len(axes[0].lines) == 2
    assert len(axes[1].lines) == 3  # and that of the factor 1


@pytest.mark.parametrize("n_steps", [1, 100, 1000])
@pytest.mark.parametrize("quantity", ["hidden_norms", "singular_values"])
def test_no_texts_of_a_flow_overlap(n_steps, quantity):
    layer = {name: 0.9 ** np.arange(n_steps) for name in QUANTITIES}
    layer["singular_values"] = np.random.default_rng(0).uniform(0.9, 1.1, size=n_steps)
    flow = type("Flow", (), {"layers": [layer, layer]})
    display = GradientFlowDisplay(flows=dict.fromkeys(("rnn", "gru", "lstm"), flow)).plot(quantity=quantity)
    assert not overlaps(display.figure_)


def test_errors_that_are_all_zero_are_drawn_without_lines():
    flow = type("Flow", (), {"layers": [{"hidden_norms": np.zeros(3)}]})
    display = GradientFlowDisplay(flows={"constant": flow}).plot()
    display.figure_.canvas.draw()
    assert np.isnan(display.lines_["constant"][0].get_ydata()).all()


def test_bad_arguments_of_a_flow_are_refused():
    regressor = make_fitted()
    with pytest.raises(ValueError, match=r"^quantity='norms' is not known. Choose one of 'hidden_norms', "):
        GradientFlowDisplay.from_estimator(regressor, X, Y, quantity="norms")
    with pytest.raises(ValueError, match=r"^quantity='singular_values' was not computed for 'RNNRegressor'"):
        GradientFlowDisplay.from_estimator(regressor, X, Y, n_iterations=0, quantity="singular_values")
    with pytest.raises(TypeError, match=r"^estimators is \[\], but it must be a dict"):
        GradientFlowDisplay.from_estimators([], X, Y)
    with pytest.raises(TypeError, match=r"^flows is .*, but it must be a dict"):
        GradientFlowDisplay(flows={}).plot()


# ---- TruncationBiasDisplay ---------------------------------------------------------------------------


def test_the_lines_are_the_bias():
    regressor = make_fitted()
    expected = truncation_bias(regressor, X, Y, [1, 3, 7])
    display = TruncationBiasDisplay.from_estimator(regressor, X, Y, truncations=[1, 3, 7])
    assert_array_equal(display.truncations, [1, 3, 7])
    assert list(display.lines_) == ["relative_bias", "cosine", "relative_norm"]
    for quantity, line in display.lines_.items():
        assert_array_equal(getattr(display, quantity), expected[quantity])
        assert_array_equal(line.get_ydata(), expected[quantity])
        assert_array_equal(line.get_xdata(), [1, 3, 7])
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "truncation (network steps)"
    assert display.ax_.get_ylabel() == "relative to the full gradient"
    assert legend_of(display.ax_) == ["bias", "cosine", "norm"]


@pytest.mark.parametrize(("stride", "truncations"), [(None, [1, 2, 4, 7]), (2, [2, 4, 7]), (3, [3, 6, 7]), (9, [9])])
def test_truncations_double_up_to_the_longest_sequence(stride, truncations):
    display = TruncationBiasDisplay.from_estimator(make_fitted(), X, Y, truncation_stride=stride)
    assert_array_equal(display.truncations, truncations)
    assert display.relative_bias[-1] == 0


def test_truncations_count_network_steps():
    display = TruncationBiasDisplay.from_estimator(make_fitted(patch_size=2), X, Y)
    assert_array_equal(display.truncations, [1, 2, 4])
    assert display.relative_bias[-1] == 0


def test_two_estimators_share_axes():
    ax = None
    for name in ("gru", "rnn"):
        display = TruncationBiasDisplay.from_estimator(
            make_fitted(name), X, Y, name=name, quantities=["relative_bias"], ax=ax
        )
        ax = display.ax_
    assert legend_of(ax) == ["gru", "rnn"]
    assert ax.get_ylabel() == "relative bias"
    assert len(ax.lines) == 2


def test_a_bias_is_drawn_from_the_functions_result():
    bias = truncation_bias(make_fitted(), X, Y, [1, 7])
    display = TruncationBiasDisplay(**bias).plot(quantities=["cosine", "relative_bias"], line_kw={"marker": "s"})
    assert list(display.lines_) == ["cosine", "relative_bias"]
    assert {line.get_marker() for line in display.lines_.values()} == {"s"}


@pytest.mark.parametrize("n_truncations", [1, 10, 1000])
def test_no_texts_of_a_bias_overlap(n_truncations):
    bias = 1 / np.arange(1, n_truncations + 1)
    truncations = np.arange(1, n_truncations + 1)
    display = TruncationBiasDisplay(
        truncations=truncations, relative_bias=bias, cosine=1 - bias, relative_norm=1 - bias / 2
    )
    assert not overlaps(display.plot().figure_)


def test_bad_arguments_of_a_bias_are_refused():
    regressor = make_fitted()
    with pytest.raises(ValueError, match=r"^quantities='norm' is not known"):
        TruncationBiasDisplay.from_estimator(regressor, X, Y, quantities=["norm"])
    with pytest.raises(ValueError, match=r"^quantities='cosine' must be a list"):
        TruncationBiasDisplay.from_estimator(regressor, X, Y, quantities="cosine")
    with pytest.raises(ValueError, match=r"^The 'truncation_stride' parameter of truncation_bias must be an int"):
        TruncationBiasDisplay.from_estimator(regressor, X, Y, truncation_stride="long")
    with pytest.raises(ValueError, match=r"^truncations must be a list of integers"):
        TruncationBiasDisplay.from_estimator(regressor, X, Y, truncations=[0.5])


# ---- Both --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("display", [GradientFlowDisplay, TruncationBiasDisplay])
def test_estimators_without_a_flow_are_refused(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(plain_regressor(), X, Y)
    with pytest.raises(ValueError, match=r"^estimator has bidirectional=True"):
        display.from_estimator(make_fitted(bidirectional=True), X, Y)
    assert not plt.get_fignums()
