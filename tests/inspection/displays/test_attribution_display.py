"""AttributionDisplay: the parts of the values of one sequence in an output."""

import numpy as np
import pytest
from figures import overlaps, plt
from helpers import make_sequences, plain_classifier, plain_regressor
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.inspection import AttributionDisplay, attribute
from sklearn_rnn.preprocessing import TimeDistributed

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

LENGTHS = (5, 1, 7, 3, 5)
X = make_sequences(LENGTHS)
TARGETS = np.array([0.5, -1.0, 2.0, 0.1, 0.3])
WORDS = [list("aab"), list("cb"), list("abca"), list("bb")]


@pytest.fixture(scope="module")
def regressor():
    return plain_regressor((4,), max_iter=2, random_state=0).fit(X, TARGETS)


@pytest.fixture(scope="module")
def reader():
    """A classifier of words."""
    return RNNClassifier((4,), max_iter=3, random_state=0).fit(WORDS, ["no", "yes", "yes", "no"])


def titles(display):
    return display.ax_.get_title(loc="left").splitlines()


# ---- from_estimator ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "occlusion", "step_occlusion"])
@pytest.mark.parametrize("index", [0, 1, -3])
def test_the_parts_are_those_of_one_sequence_of_attribute(regressor, method, index):
    display = AttributionDisplay.from_estimator(regressor, X, index=index, method=method)
    explanation = attribute(regressor, X, method=method)
    expected = explanation.attributions[index].reshape(len(X[index]), -1)
    assert_allclose(display.attributions, expected, rtol=1e-9, atol=1e-12)
    assert_allclose(display.output, explanation.outputs[index], rtol=1e-12)
    assert_allclose(display.baseline_output, explanation.baseline_outputs[index], rtol=1e-12)
    assert_array_equal(display.image_.get_array(), display.attributions.T)
    if method == "step_occlusion":
        assert (display.values, display.feature_names) == (None, ["all features"])
    else:
        assert_allclose(display.values, X[index], rtol=1e-6)
        assert display.feature_names == [f"x{i}" for i in range(X[0].shape[1])]


def test_values_and_names_pass_scalers():
    scaled = [1000 + 50 * x for x in X]
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), plain_regressor((4,), max_iter=1, random_state=0))
    display = AttributionDisplay.from_estimator(pipeline.fit(scaled, TARGETS), scaled, index=2)
    assert_allclose(display.values, scaled[2], rtol=1e-5)
    lowest, highest = scaled[2][:, 0].min(), scaled[2][:, 0].max()
    assert display.ax_.get_yticklabels()[0].get_text() == f"x0\n{lowest:.0f} to {highest:.0f}"


def test_names_may_be_given(regressor):
    names = ["pressure", "speed", "level"][: X[0].shape[1]]
    display = AttributionDisplay.from_estimator(regressor, X, feature_names=names)
    assert [label.get_text().split("\n")[0] for label in display.ax_.get_yticklabels()] == names


def test_the_rows_of_a_table_are_sequences(regressor):
    table = np.arange(12.0).reshape(2, 6) / 10
    fitted = plain_regressor((4,), max_iter=1, step_features=2, random_state=0).fit(table, [0, 1])
    display = AttributionDisplay.from_estimator(fitted, table, index=1)
    assert_allclose(display.values, table[1].reshape(3, 2), rtol=1e-6)
    assert_allclose(display.attributions.ravel(), attribute(fitted, table).attributions[1], rtol=1e-9, atol=1e-12)


def test_the_title_says_which_output_and_that_the_parts_sum_to_its_change(regressor, reader):
    first, second = titles(AttributionDisplay.from_estimator(reader, WORDS, "yes", index=2))
    assert first.startswith("log odds of 'yes': ")
    numbers = [float(word.replace("−", "-")) for word in second.replace("− ", "−").split() if word[-1].isdigit()]
    output = float(first.split()[-1].replace("−", "-"))
    assert_allclose(sum(numbers), output, atol=0.011)
    assert "(baseline)" in second
    assert "(sum of all parts)" in second
    occluded = titles(AttributionDisplay.from_estimator(regressor, X, method="occlusion"))
    assert occluded[0].startswith("prediction: ")
    assert occluded[1].startswith("of the baseline: ")


@pytest.mark.parametrize(
    ("classes", "name"),
    [(["a", "b", "c", "a", "b"], "score of 'c'"), (["a", "c", "c", "a", "c"], "log odds of 'c'")],
)
def test_outputs_of_classes_have_names(classes, name):
    fitted = plain_classifier((4,), max_iter=1, random_state=0).fit(X, classes)
    assert titles(AttributionDisplay.from_estimator(fitted, X, "c"))[0].startswith(f"{name}: ")


def test_outputs_of_a_step_and_of_one_of_several_values_have_names():
    targets = [np.column_stack([x[:, 0], x[:, 0]]) for x in X]
    fitted = plain_regressor((4,), readout="each", max_iter=1, random_state=0).fit(X, targets)
    display = AttributionDisplay.from_estimator(fitted, X, 1, index=2, step=-2)
    assert titles(display)[0].startswith("prediction 1 at step 5: ")
    assert not display.attributions[6].any()  # it comes after step 5


# ---- The picture -------------------------------------------------------------------------------------


def test_white_is_the_part_0():
    display = AttributionDisplay.from_attributions([[0.1, -0.4], [0.2, 0.3]])
    assert display.image_.get_clim() == (-0.4, 0.4)
    assert display.colorbar_.ax.get_ylabel() == "added to the output"
    assert AttributionDisplay.from_attributions([[0.0]]).image_.get_clim() == (-1.0, 1.0)


def test_a_single_feature_has_its_values_at_the_axis():
    values = np.array([20.0, 22.0, 21.0])
    display = AttributionDisplay.from_attributions([0.1, 0.2, -0.1], values, feature_names=["pressure"])
    assert_array_equal(display.lines_[0].get_ydata(), values)
    assert display.ax_.get_ylabel() == "pressure"
    low, high = display.ax_.get_ylim()
    assert low < 20
    assert high > 22
    assert display.ax_.get_xlim() == (-0.5, 2.5)


def test_a_single_feature_of_categories_has_bars_with_their_names(reader):
    display = AttributionDisplay.from_estimator(reader, WORDS, index=2)
    assert [bar.get_height() for bar in display.bars_] == display.attributions[:, 0].tolist()
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["a", "b", "c", "a"]
    assert (display.image_, display.colorbar_, display.lines_) == (None, None, [])


def test_unknown_categories_are_named_so(reader):
    display = AttributionDisplay.from_estimator(reader, [["a", "z"], ["b"]])
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["a", "unknown"]


def test_categories_beside_numbers_stand_in_their_row():
    values = np.array([["on", 3.0], ["off", 4.0]], dtype=object)
    display = AttributionDisplay.from_attributions(np.eye(2), values, feature_names=["switch", "level"])
    assert [text.get_text() for text in display.ax_.texts] == ["on", "off"]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["switch", "level\n3.00 to 4.00"]


def test_the_largest_parts_of_many_categories_are_named():
    words = np.array([f"w{i}" for i in range(500)], dtype=object)
    parts = np.zeros(500)
    parts[[7, 123, 400]] = [1.0, -2.0, 0.5]
    display = AttributionDisplay.from_attributions(parts, words)
    named = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert {"w7", "w123", "w400"} <= set(named)
    assert len(named) < 40
    assert "500 steps" in display.ax_.get_xlabel()


def test_many_steps_are_drawn_in_groups_with_their_sums():
    parts = np.random.default_rng(0).normal(size=(1000, 2))
    display = AttributionDisplay.from_attributions(parts)
    drawn = display.image_.get_array()
    size = -(-1000 // drawn.shape[1])
    assert 100 < drawn.shape[1] < 200
    assert_allclose(drawn[:, 3], parts[3 * size : 4 * size].sum(axis=0), rtol=1e-12)
    assert display.colorbar_.ax.get_ylabel().endswith(f"(sums of {size} steps)")
    assert display.ax_.get_xlim() == (-0.5, 999.5)
    assert len(AttributionDisplay.from_attributions(parts[:150]).image_.get_array()[0]) == 150
    small = AttributionDisplay.from_attributions(parts[:150], ax=plt.subplots(figsize=(1, 1))[1])
    assert len(small.image_.get_array()[0]) < 60


def test_an_error_of_the_integral_is_told():
    display = AttributionDisplay.from_attributions([1.0, 2.0], output=4.0, baseline_output=0.5)
    assert titles(display) == ["output: 4.00", "= 0.50 (baseline) + 3.00 (sum of all parts)", "+ 0.50 (error)"]
    wide = display.plot(plt.subplots(figsize=(9, 3))[1])
    assert titles(wide) == ["output: 4.00", "= 0.50 (baseline) + 3.00 (sum of all parts) + 0.50 (error)"]
    exact = AttributionDisplay.from_attributions([-1.0, -2.0], output=-2.5, baseline_output=0.5)
    assert titles(exact) == ["output: −2.50", "= 0.50 (baseline) − 3.00 (sum of all parts)"]


@pytest.mark.parametrize("size", [10, 15])
def test_the_title_lies_within_the_figure(size):
    with plt.rc_context({"font.size": size}):
        arguments = {"output": -12345.6, "baseline_output": 23456.7, "output_name": "log odds of 'fails'"}
        display = AttributionDisplay.from_attributions(
            np.full((6, 2), -2345.6), np.ones((6, 2)), feature_names=["temperature", "vibration"], **arguments
        )
        display.figure_.canvas.draw()
        boxes = [
            text.get_window_extent()
            for text in display.ax_.findobj(plt.Text)
            if text.get_text() == display.ax_.get_title(loc="left")
        ]
        assert "(error)" in titles(display)[-1]
        assert len(boxes) == 1
        assert boxes[0].x1 <= display.figure_.bbox.x1


def test_gaps_and_long_names_are_drawn():
    values = np.array([[np.nan, 1.0], [np.nan, np.nan], [np.nan, 3.0]])
    name = "score of 'a class with a name of very many letters'"
    display = AttributionDisplay.from_attributions(np.ones((3, 2)), values, output=9.0, output_name=name)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["x0", "x1\n1.00 to 3.00"]
    assert titles(display)[0] == f"{name[:39]}…: 9.00"


def test_the_parts_are_drawn_again_on_other_axes(regressor):
    display = AttributionDisplay.from_estimator(regressor, X)
    figure, ax = plt.subplots()
    again = display.plot(ax, colorbar=False, cmap="PuOr", im_kw={"vmin": -2}, line_kw={"color": "red"})
    assert again is display
    assert (display.ax_, display.figure_, display.colorbar_) == (ax, figure, None)
    assert display.image_.get_cmap().name == "PuOr"
    assert display.image_.get_clim()[0] == -2
    assert {line.get_color() for line in display.lines_} == {"red"}


@pytest.mark.parametrize(("n_steps", "n_features"), [(1, 1), (1, 30), (40, 3), (1000, 1), (1000, 30)])
@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_no_texts_overlap(kind, n_steps, n_features):
    generator = np.random.default_rng(0)
    values = generator.normal(size=(n_steps, n_features)).astype(object if kind == "categories" else float)
    if kind == "categories":
        values[:, 0] = generator.choice(["on", "off", "temperature"], n_steps)
    parts = generator.normal(size=(n_steps, n_features))
    display = AttributionDisplay.from_attributions(parts, values, output=parts.sum() - 1, baseline_output=-1.0)
    assert not overlaps(display.figure_)


# ---- Errors ------------------------------------------------------------------------------------------


def test_bad_arguments_are_refused(regressor):
    draw = AttributionDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(plain_regressor(), X)
    with pytest.raises(TypeError, match=r"^estimator is a StandardScaler"):
        draw(StandardScaler(), X)
    with pytest.raises(ValueError, match=r"^index=5 is out of range: X has 5 sequences. Choose -5 to 4"):
        draw(regressor, X, index=5)
    with pytest.raises(ValueError, match=r"'method' parameter of AttributionDisplay.from_estimator"):
        draw(regressor, X, method="guess")
    with pytest.raises(ValueError, match=r"^X\[1\] has 1 step, which method='step_removal' cannot remove"):
        draw(regressor, X, index=1, method="step_removal")
    with pytest.raises(ValueError, match=r"^feature_names has 1 names, but there are \d features"):
        draw(regressor, X, feature_names=["a"])
    per_step = plain_regressor((4,), readout="each", max_iter=1, random_state=0).fit(X, [x[:, 0] for x in X])
    with pytest.raises(ValueError, match=r"^step=6 does not exist in X\[3\], which has 3 steps"):
        draw(per_step, X, index=3, step=6)
    from_attributions = AttributionDisplay.from_attributions
    with pytest.raises(ValueError, match=r"^method='guess' is not known"):
        from_attributions([0.1], method="guess")
    with pytest.raises(ValueError, match=r"^attributions has shape \(2, 3, 4\), but that of one sequence is needed"):
        from_attributions(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"^values has 3 steps, but attributions has 2"):
        from_attributions([0.1, 0.2], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"^values has 2 features, but attributions has 1"):
        from_attributions([0.1, 0.2], np.ones((2, 2)))
    assert not plt.get_fignums()
