"""attribute: finite differences, completeness, linear networks, the forms of X, baselines, pipelines, and errors."""

import numpy as np
import pandas as pd
import pytest
from helpers import ENGINES, RAGGED, each_engine, make_sequences, plain_classifier, plain_regressor, randomize
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.inspection import attribute
from sklearn_rnn.inspection._explanations import input_gradients, integrated_gradients
from sklearn_rnn.preprocessing import TimeDistributed

# Training ends after a fixed number of epochs, without a test for convergence.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]
SMOOTH_READOUTS = ["last", "mean", ("last", "mean"), "each"]
PATCHES = {"steps": (1, 1), "side by side": (3, 3), "overlapping": (3, 2)}

each_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
each_direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
each_patch = pytest.mark.parametrize("patch", PATCHES)
each_method = pytest.mark.parametrize(
    "method", ["gradient", "integrated_gradients", "occlusion", "step_occlusion", "step_removal"]
)


def fitted_regressor(X=None, *, readout="last", n_outputs=1, patch="steps", engine=None, **parameters):
    """A regressor with random weights, and its sequences."""
    X = make_sequences() if X is None else X
    generator = np.random.default_rng(4)
    y = generator.normal(3, 2, size=(len(X), n_outputs) if n_outputs > 1 else len(X))
    if readout == "each":
        y = [generator.normal(3, 2, size=(len(x), n_outputs)) for x in X]
    size, stride = PATCHES[patch]
    settings = {"cell": "gru", "hidden_layer_sizes": (4, 3), "max_iter": 1, "patch_size": size, "patch_stride": stride}
    regressor = plain_regressor(readout=readout, **settings | parameters).fit(X, y)
    randomize(regressor.weights_)
    if engine is not None:
        regressor._model.network.engine = ENGINES[engine]
    return regressor, X


def fitted_classifier(n_classes=3, **parameters):
    """A classifier with random weights, and its sequences."""
    X = make_sequences((5, 1, 7, 3, 5, 4))
    classifier = plain_classifier((4, 3), cell="gru", max_iter=1, **parameters)
    classifier.fit(X, np.array(["a", "b", "c"])[np.arange(6) % n_classes])
    randomize(classifier.weights_)
    return classifier, X


def sums_of(explanation):
    return np.array([values.sum() for values in explanation.attributions])


def changes_of(explanation):
    return explanation.outputs - explanation.baseline_outputs


def assert_complete(explanation, *, rtol):
    """The attributions sum to the difference of the outputs, and the errors are what is left."""
    changes = changes_of(explanation)
    scale = np.abs(changes).max()
    assert scale > 1e-3
    assert_allclose(sums_of(explanation), changes, rtol=0, atol=rtol * scale)
    assert_allclose(explanation.completeness_errors, changes - sums_of(explanation), rtol=0, atol=1e-12)


def differences(function, X, step=1e-6):
    """Central differences of function(X) with respect to every value of every sequence."""
    result = []
    for i, x in enumerate(X):
        gradient = np.empty(x.shape)
        for place in np.ndindex(x.shape):
            sides = []
            for sign in (1, -1):
                moved = [np.array(other, dtype=float) for other in X]
                moved[i][place] += sign * step
                sides.append(function(moved))
            gradient[place] = (sides[0] - sides[1]) / (2 * step)
        result.append(gradient)
    return result


# ---- Gradients ---------------------------------------------------------------------------------------


@each_engine
@each_direction
@pytest.mark.parametrize("readout", READOUTS, ids=str)
@each_cell
def test_the_gradient_is_the_one_of_finite_differences(cell, readout, bidirectional, engine):
    regressor, X = fitted_regressor(readout=readout, cell=cell, bidirectional=bidirectional, n_outputs=2, engine=engine)

    def output(X):
        predictions = regressor.predict(X)
        return sum(p[-1, 1] if readout == "each" else p[1] for p in predictions)

    explanation = attribute(regressor, X, output=1, method="gradient")
    for actual, expected in zip(explanation.attributions, differences(output, X), strict=True):
        assert_allclose(actual, expected, rtol=0, atol=1e-7)


@each_patch
@each_direction
def test_the_gradient_of_patches_is_by_the_steps_of_X(bidirectional, patch):
    regressor, X = fitted_regressor(bidirectional=bidirectional, patch=patch, readout=("last", "max"))
    explanation = attribute(regressor, X, method="gradient")
    expected = differences(lambda X: regressor.predict(X).sum(), X)
    for actual, of_sequence in zip(explanation.attributions, expected, strict=True):
        assert_allclose(actual, of_sequence, rtol=0, atol=1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_gradient_of_a_class_is_that_of_its_score(n_classes):
    classifier, X = fitted_classifier(n_classes)
    for place, label in enumerate(classifier.classes_):

        def score(X, place=place):
            log_proba = classifier.predict_log_proba(X)
            if n_classes == 2:
                return (log_proba[:, place] - log_proba[:, 1 - place]).sum()
            # A raw score, by its distance from the mean score: softmax does not show the mean.
            return (log_proba[:, place] - log_proba.mean(axis=1)).sum()

        actual = attribute(classifier, X, label, method="gradient").attributions
        if n_classes == 3:
            every = [attribute(classifier, X, other, method="gradient").attributions for other in classifier.classes_]
            actual = [a - np.mean(of_all, axis=0) for a, *of_all in zip(actual, *every, strict=True)]
        for of_sequence, expected in zip(actual, differences(score, X), strict=True):
            assert_allclose(of_sequence, expected, rtol=0, atol=1e-7)


def test_the_gradient_of_a_mean_of_poisson_is_that_of_the_prediction():
    X = make_sequences()
    regressor = plain_regressor((4,), loss="poisson", max_iter=1).fit(X, np.array([0, 3, 1, 5, 2]))
    randomize(regressor.weights_)
    actual = attribute(regressor, X, method="gradient").attributions
    for of_sequence, expected in zip(actual, differences(lambda X: regressor.predict(X).sum(), X), strict=True):
        assert_allclose(of_sequence, expected, rtol=1e-6, atol=1e-7)
    assert_complete(attribute(regressor, X), rtol=1e-6)


# ---- Integrated gradients ----------------------------------------------------------------------------


@each_engine
@each_direction
@pytest.mark.parametrize("readout", SMOOTH_READOUTS, ids=str)
@each_cell
def test_integrated_gradients_sum_to_the_difference_of_the_outputs(cell, readout, bidirectional, engine):
    regressor, X = fitted_regressor(readout=readout, cell=cell, bidirectional=bidirectional, engine=engine)
    assert_complete(attribute(regressor, X), rtol=1e-6)
    assert_complete(attribute(regressor, X, baseline=[1.0, -2.0], n_points=100), rtol=1e-6)


@each_patch
@each_direction
def test_integrated_gradients_of_patches_sum_to_the_difference_of_the_outputs(bidirectional, patch):
    regressor, X = fitted_regressor(bidirectional=bidirectional, patch=patch)
    assert_complete(attribute(regressor, X), rtol=1e-6)


def test_a_maximum_over_steps_is_complete_but_for_its_jumps():
    regressor, X = fitted_regressor(readout="max")
    errors = [np.abs(attribute(regressor, X, n_points=n).completeness_errors).max() for n in (10, 1000)]
    scale = np.abs(changes_of(attribute(regressor, X, n_points=1))).max()
    assert 1e-6 * scale < errors[1] < 1e-3 * scale
    assert errors[1] < errors[0] / 10


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_of_classes_are_complete(n_classes):
    classifier, X = fitted_classifier(n_classes)
    for label in classifier.classes_:
        assert_complete(attribute(classifier, X, label), rtol=1e-6)


def fitted_latch():
    """A regressor that remembers whether a value was ever high: its output jumps on the way. And its sequences."""
    X = [np.zeros((12, 2)) for _ in range(4)]
    for i, x in enumerate(X):
        x[3 + i, 0] = 4.0 * (i % 2)
        x[:, 1] = 0.1 * i
    regressor, _ = fitted_regressor(X, cell="rnn", hidden_layer_sizes=(1,), normalize_y=False)
    values = {"input": [[5.0], [1.0]], "recurrent": [[6.0]], "bias": [-3.0]}
    for name, array in values.items():
        regressor.weights_[f"layer_0.{name}"][...] = array
    return regressor, X


def test_the_adaptive_rule_finds_a_jump():
    regressor, X = fitted_latch()
    predicted = regressor.predict(X)
    assert abs(predicted[1] - predicted[0]) > 0.5  # it latches
    fixed, adaptive = (attribute(regressor, X, baseline=0.0, n_points=n) for n in (512, "auto"))
    sizes = np.array([np.abs(values).sum() for values in adaptive.attributions])
    assert np.abs(fixed.completeness_errors[1]) > 0.01 * sizes[1]
    assert (np.abs(adaptive.completeness_errors) <= 5e-3 * sizes).all()
    assert np.argmax(np.abs(adaptive.attributions[1]).sum(axis=1)) == 4


@pytest.mark.parametrize("readout", ["max", ("last", "max", "mean")], ids=str)
def test_the_adaptive_rule_is_exact_for_maxima(readout):
    regressor, X = fitted_regressor(make_sequences((30, 20, 25)), readout=readout, bidirectional=True)
    explanation = attribute(regressor, X)
    sizes = np.array([np.abs(values).sum() for values in explanation.attributions])
    assert (np.abs(explanation.completeness_errors) <= 5e-3 * sizes).all()
    many = attribute(regressor, X, n_points=3000).attributions
    for actual, expected in zip(explanation.attributions, many, strict=True):
        assert np.abs(actual - expected).sum() < 0.01 * np.abs(expected).sum()  # as documented


def test_the_adaptive_rule_gives_the_same_in_parts(monkeypatch):
    regressor, X = fitted_regressor(make_sequences((9, 2, 7, 3, 5)), readout="max")
    expected = attribute(regressor, X, baseline=0.0, n_jobs=3).attributions
    monkeypatch.setattr(integrated_gradients, "VALUES_AT_ONCE", 16)
    for a, b in zip(attribute(regressor, X, baseline=0.0).attributions, expected, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_few_points_are_less_exact():
    regressor, X = fitted_regressor()
    errors = [np.abs(attribute(regressor, X, n_points=n).completeness_errors).max() for n in (1, 3, 9)]
    assert errors[0] > 10 * errors[1] > 100 * errors[2] > 0


def test_float32_is_close_to_float64():
    explanations = []
    for dtype in (np.float64, np.float32):
        regressor, X = fitted_regressor(make_sequences(dtype=dtype))
        explanations.append(attribute(regressor, X))
    double, single = explanations
    for actual, expected in zip(single.attributions, double.attributions, strict=True):
        assert actual.dtype == np.float64
        assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert_complete(single, rtol=1e-4)


# ---- A linear network: all methods have the exact answer ---------------------------------------------


def fitted_linear(X, **parameters):
    """A regressor whose prediction is a linear function of its inputs."""
    parameters = {"cell": "rnn", "activation": "identity"} | parameters
    return fitted_regressor(X, **parameters)


@each_patch
@each_direction
@pytest.mark.parametrize("readout", ["last", ("mean", "last")], ids=str)
def test_all_methods_agree_for_a_linear_network(readout, bidirectional, patch):
    regressor, X = fitted_linear(None, readout=readout, bidirectional=bidirectional, patch=patch)
    baseline = np.array([0.5, -1.0])
    of = {method: attribute(regressor, X, method=method, baseline=baseline).attributions
          for method in ("gradient", "integrated_gradients", "occlusion", "step_occlusion")}  # fmt: skip
    for i, x in enumerate(X):
        assert_allclose(of["integrated_gradients"][i], of["gradient"][i] * (x - baseline), rtol=1e-9, atol=1e-12)
        assert_allclose(of["occlusion"][i], of["integrated_gradients"][i], rtol=1e-7, atol=1e-10)
        assert_allclose(of["step_occlusion"][i], of["occlusion"][i].sum(axis=1), rtol=1e-7, atol=1e-10)


def with_words(dtype=float):
    """Frames of two numbers and words, of unequal lengths."""
    generator = np.random.default_rng(0)
    words = np.array(["on", "off", "idle"])
    return [
        pd.DataFrame(
            {
                "speed": generator.normal(size=n).astype(dtype),
                "word": words[np.arange(n) % 3],
                "heat": generator.normal(2, 1, size=n).astype(dtype),
            }
        )
        for n in RAGGED
    ]


@each_engine
@each_patch
def test_categories_have_one_number_for_each_step(patch, engine):
    regressor, X = fitted_linear(with_words(), patch=patch, engine=engine)
    baseline = [0.5, "off", -1.0]
    gradient, integrated, occlusion, by_step = (
        attribute(regressor, X, method=method, baseline=baseline)
        for method in ("gradient", "integrated_gradients", "occlusion", "step_occlusion")
    )
    assert_array_equal(integrated.feature_names, ["speed", "word", "heat"])
    assert integrated.baseline.tolist() == baseline
    for i, frame in enumerate(X):
        actual = integrated.attributions[i]
        assert actual.shape == frame.shape
        assert_allclose(actual, occlusion.attributions[i], rtol=1e-7, atol=1e-10)
        assert_allclose(actual.sum(axis=1), by_step.attributions[i], rtol=1e-7, atol=1e-10)
        # The number of a category is that of its vector: its derivative times the distance.
        assert_allclose(actual[:, 1], gradient.attributions[i][:, 1], rtol=1e-9, atol=1e-12)
        assert_allclose(actual[:, 0], gradient.attributions[i][:, 0] * (frame["speed"] - 0.5), rtol=1e-9, atol=1e-12)
        assert (actual[frame["word"] == "off", 1] == 0).all()
        assert np.abs(actual[frame["word"] == "on", 1]).min() > 1e-6


@each_patch
def test_integrated_gradients_of_categories_are_complete(patch):
    regressor, X = fitted_regressor(with_words(), patch=patch)
    assert_complete(attribute(regressor, X), rtol=1e-6)
    assert attribute(regressor, X).baseline[1] is None  # the unknown category
    assert_complete(attribute(regressor, X, baseline=[0, "idle", 0]), rtol=1e-6)
    assert_complete(attribute(regressor, X, baseline=with_words()[::-1][:1] * 0 + reworded(X)), rtol=1e-6)


def reworded(X):
    return [frame.assign(word=frame["word"].to_numpy()[::-1], heat=frame["heat"] + 1) for frame in X]


def test_tokens_alone_are_attributed():
    clicks = [["home", "search", "cart"], ["home", "help"], ["search", "cart", "pay"], ["help", "home", "help"]]
    classifier = plain_classifier((4,), max_iter=1).fit(clicks, ["buys", "leaves", "buys", "leaves"])
    randomize(classifier.weights_)
    explanation = attribute(classifier, clicks, "buys")
    assert [values.shape for values in explanation.attributions] == [(3, 1), (2, 1), (3, 1), (3, 1)]
    assert_complete(explanation, rtol=1e-6)
    assert explanation.baseline.tolist() == [None]


# ---- Occlusion ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", READOUTS, ids=str)
@each_direction
def test_occlusion_is_the_change_of_the_prediction(bidirectional, readout):
    regressor, X = fitted_regressor(readout=readout, bidirectional=bidirectional)
    baseline = np.array([0.5, -1.0])

    def output(x):
        return float(np.ravel(regressor.predict([x])[0])[-1])

    by_value = attribute(regressor, X, method="occlusion", baseline=baseline).attributions
    by_step = attribute(regressor, X, method="step_occlusion", baseline=baseline).attributions
    for i, x in enumerate(X):
        for t in range(len(x)):
            changed = x.copy()
            changed[t] = baseline
            assert_allclose(by_step[i][t], output(x) - output(changed), rtol=1e-9, atol=1e-12)
            for j in range(2):
                changed = x.copy()
                changed[t, j] = baseline[j]
                assert_allclose(by_value[i][t, j], output(x) - output(changed), rtol=1e-9, atol=1e-12)


@each_patch
def test_step_removal_is_the_change_of_the_prediction_without_the_step(patch):
    regressor, X = fitted_regressor(make_sequences((5, 2, 7, 3)), patch=patch)
    removed = attribute(regressor, X, method="step_removal").attributions
    for x, of_sequence in zip(X, removed, strict=True):
        expected = [regressor.predict([x])[0] - regressor.predict([np.delete(x, t, axis=0)])[0] for t in range(len(x))]
        assert_allclose(of_sequence, expected, rtol=1e-9, atol=1e-12)


def test_values_of_the_baseline_have_no_part():
    regressor, X = fitted_regressor()
    X[2][4] = [0.5, -1.0]
    for method in ("integrated_gradients", "occlusion", "step_occlusion"):
        values = attribute(regressor, X, method=method, baseline=[0.5, -1.0]).attributions[2]
        assert (values[4] == 0).all()
        assert (values[3] != 0).all()


# ---- The output --------------------------------------------------------------------------------------


def test_the_default_output_is_the_predicted_class():
    classifier, X = fitted_classifier()
    classifier.weights_["readout.bias"][...] -= classifier.predict_log_proba(X).mean(axis=0)
    explanation = attribute(classifier, X)
    assert_array_equal(explanation.output, classifier.predict(X))
    assert len(set(explanation.output)) > 1
    for i, label in enumerate(explanation.output):
        alone = attribute(classifier, X, label).attributions[i]
        assert_allclose(explanation.attributions[i], alone, rtol=1e-12, atol=1e-14)


def test_every_sequence_may_have_its_own_output():
    classifier, X = fitted_classifier()
    labels = ["c", "a", "b", "b", "a", "c"]
    explanation = attribute(classifier, X, labels)
    assert_array_equal(explanation.output, labels)
    for i, label in enumerate(labels):
        of_label = attribute(classifier, X, label)
        assert_allclose(explanation.attributions[i], of_label.attributions[i], rtol=1e-12, atol=1e-14)
        assert explanation.outputs[i] == of_label.outputs[i]


def test_the_two_classes_of_a_binary_classifier_are_opposites():
    classifier, X = fitted_classifier(2)
    first, second = attribute(classifier, X, "a"), attribute(classifier, X, "b")
    assert_allclose(first.outputs, -second.outputs, rtol=1e-12)
    odds = classifier.predict_proba(X)[:, 1] / classifier.predict_proba(X)[:, 0]
    assert_allclose(second.outputs, np.log(odds), rtol=1e-9)
    for a, b in zip(first.attributions, second.attributions, strict=True):
        assert_allclose(a, -b, rtol=1e-12, atol=1e-14)


def test_labels_of_multilabel_targets_are_chosen_by_index():
    X = make_sequences()
    classifier = plain_classifier((4,), max_iter=1).fit(X, np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1]]))
    randomize(classifier.weights_)
    explanation = attribute(classifier, X, 1)
    proba = classifier.predict_proba(X)[:, 1]
    assert_allclose(explanation.outputs, np.log(proba / (1 - proba)), rtol=1e-9)
    assert_complete(explanation, rtol=1e-6)


@each_direction
def test_a_step_is_explained_by_its_own_output(bidirectional):
    regressor, X = fitted_regressor(make_sequences((5, 4, 7)), readout="each", bidirectional=bidirectional)
    steps = [2, -1, 0]
    explanation = attribute(regressor, X, step=steps)
    predicted = regressor.predict(X)
    assert_array_equal(explanation.step, [2, 3, 0])
    assert_allclose(explanation.outputs, [p.ravel()[t] for p, t in zip(predicted, steps)], rtol=1e-12)
    assert_complete(explanation, rtol=1e-6)
    later = explanation.attributions[0][3:]
    assert (later != 0).all() if bidirectional else (later == 0).all()
    assert_array_equal(attribute(regressor, X).step, [4, 3, 6])


# ---- The forms of X ----------------------------------------------------------------------------------


@each_method
def test_attributions_have_the_form_of_X(method):
    values = np.random.default_rng(0).normal(size=(6, 4, 2))
    as_objects = np.empty(6, object)
    as_objects[:] = list(values)
    forms = {
        "array": values,
        "list": list(values),
        "object": as_objects,
        "frames": [pd.DataFrame(x, columns=["a", "b"]) for x in values],
    }
    results = {}
    for name, X in forms.items():
        regressor, _ = fitted_regressor(X)
        results[name] = attribute(regressor, X, method=method)
    table, _ = fitted_regressor(values.reshape(6, 8), step_features=2)
    of_table = attribute(table, values.reshape(6, 8), method=method, baseline=values.mean(axis=(0, 1)))
    has_features = not method.startswith("step_")
    shape = (6, 4, 2) if has_features else (6, 4)
    expected = results["array"].attributions
    assert expected.shape == shape
    assert isinstance(results["list"].attributions, list)
    assert results["object"].attributions.dtype == object
    assert_array_equal(results["frames"].feature_names, ["a", "b"])
    assert_array_equal(results["array"].feature_names, ["x0", "x1"])
    for name in ("list", "object", "frames"):
        assert_allclose(np.stack(list(results[name].attributions)), expected, rtol=1e-12, atol=1e-14)
    assert of_table.attributions.shape == ((6, 8) if has_features else (6, 4))
    assert_allclose(of_table.attributions.reshape(shape), expected, rtol=1e-10, atol=1e-12)
    assert len(of_table.feature_names) == 8


@each_method
def test_a_mapped_file_gives_the_same(method, tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 6, 2))
    regressor, _ = fitted_regressor(values)
    mapped = np.memmap(tmp_path / "X", float, "w+", shape=values.shape)
    mapped[...] = values
    from_file, in_memory = (attribute(regressor, X, method=method) for X in (mapped, values))
    assert_array_equal(from_file.attributions, in_memory.attributions)
    assert_array_equal(from_file.baseline, in_memory.baseline)


@each_method
def test_any_number_of_threads_gives_the_same_bits(method):
    lengths = np.random.default_rng(1).integers(2, 40, 150)
    regressor, X = fitted_regressor(make_sequences(lengths), bidirectional=True, readout=("last", "max"))
    one, three = (attribute(regressor, X, method=method, n_jobs=n) for n in (1, 3))
    for a, b in zip(one.attributions, three.attributions, strict=True):
        assert_array_equal(a, b)


@each_method
def test_a_batch_equals_its_sequences_one_at_a_time(method):
    regressor, X = fitted_regressor(make_sequences((5, 2, 7, 3, 5)), patch="overlapping")
    together = attribute(regressor, X, method=method, baseline=0.5)
    for x, expected in zip(X, together.attributions, strict=True):
        alone = attribute(regressor, [x], method=method, baseline=0.5)
        assert_allclose(alone.attributions[0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("readout", ["last", ("last", "max", "mean"), "each"], ids=str)
@each_direction
def test_little_memory_gives_the_same_bits(readout, bidirectional, monkeypatch):
    X = make_sequences((1500, 900))
    regressor, _ = fitted_regressor(X, readout=readout, bidirectional=bidirectional)
    in_full = attribute(regressor, X, n_points=2)
    monkeypatch.setattr(input_gradients, "MEMORY_BUDGET", 1)
    in_parts = attribute(regressor, X, n_points=2)
    for actual, expected in zip(in_parts.attributions, in_full.attributions, strict=True):
        assert np.abs(expected[-1]).min() > 0
        assert_array_equal(actual, expected)


def test_small_blocks_give_the_same(monkeypatch):
    regressor, X = fitted_regressor(make_sequences(np.arange(1, 60)))
    expected = attribute(regressor, X).attributions
    monkeypatch.setattr(input_gradients, "ROWS_AT_ONCE", 64)
    for a, b in zip(attribute(regressor, X).attributions, expected, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@each_method
def test_kernels_and_numpy_agree(method):
    results = []
    for engine in ENGINES:
        regressor, X = fitted_regressor(make_sequences((5, 2, 7)), cell="lstm", bidirectional=True, engine=engine)
        results.append(attribute(regressor, X, method=method).attributions)
    for of_engine in results[1:]:
        for a, b in zip(of_engine, results[0], strict=True):
            assert_allclose(a, b, rtol=1e-8, atol=1e-11)


# ---- Baselines ---------------------------------------------------------------------------------------


def test_the_mean_is_that_of_all_steps():
    regressor, X = fitted_regressor()
    explanation = attribute(regressor, X)
    assert_allclose(explanation.baseline, np.concatenate(X).mean(axis=0), rtol=1e-12)
    constant = [np.tile(explanation.baseline, (len(x), 1)) for x in X]
    assert_allclose(explanation.baseline_outputs, regressor.predict(constant), rtol=1e-10)
    again = attribute(regressor, X[:2], baseline=explanation.baseline)
    for a, b in zip(again.attributions, explanation.attributions):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_mean_of_a_table_is_that_of_each_column():
    X = np.random.default_rng(0).normal(size=(8, 6)) + np.arange(6)
    regressor, _ = fitted_regressor(X)
    explanation = attribute(regressor, X)
    assert_allclose(explanation.baseline, X.mean(axis=0), rtol=1e-12)
    assert_allclose(explanation.baseline_outputs, regressor.predict(X.mean(axis=0)[None]).repeat(8), rtol=1e-10)
    assert_complete(explanation, rtol=1e-6)


def test_a_number_is_the_value_of_every_feature():
    regressor, X = fitted_regressor()
    by_number, by_step = (attribute(regressor, X, baseline=b) for b in (2, [2.0, 2.0]))
    for a, b in zip(by_number.attributions, by_step.attributions, strict=True):
        assert_array_equal(a, b)


def test_a_baseline_may_have_sequences():
    regressor, X = fitted_regressor(bidirectional=True)
    other = [x[::-1] + 1 for x in X]
    explanation = attribute(regressor, X, baseline=other)
    assert_allclose(explanation.baseline_outputs, regressor.predict(other), rtol=1e-12)
    assert_complete(explanation, rtol=1e-6)
    assert explanation.baseline is other
    occluded = attribute(regressor, X, baseline=other, method="step_occlusion").attributions[2]
    changed = X[2].copy()
    changed[3] = other[2][3]
    assert_allclose(occluded[3], regressor.predict([X[2]])[0] - regressor.predict([changed])[0], rtol=1e-9)


# ---- Pipelines ---------------------------------------------------------------------------------------


SCALERS = {
    "standard": StandardScaler(),
    "without mean": StandardScaler(with_mean=False),
    "without spread": StandardScaler(with_std=False),
    "neither": StandardScaler(with_mean=False, with_std=False),
    "robust": RobustScaler(),
    "uncentered robust": RobustScaler(with_centering=False),
    "minmax": MinMaxScaler((-1, 3)),
    "maxabs": MaxAbsScaler(),
    "two": make_pipeline(MinMaxScaler(), "passthrough", StandardScaler()),
}


def fitted_pipeline(*transformers, X=None, **parameters):
    """A pipeline that ends in a regressor with random weights, and its sequences, whose features differ in scale."""
    if X is None:
        X = [5 * x * [1, 4] + [50, -3] for x in make_sequences()]
    network = plain_regressor((4, 3), cell="gru", max_iter=1, **parameters)
    pipeline = make_pipeline(*transformers, network).fit(X, np.random.default_rng(4).normal(3, 2, len(X)))
    randomize(network.weights_)
    return pipeline, X


@pytest.mark.parametrize("scaler", SCALERS)
def test_attributions_through_scalers_are_in_the_users_units(scaler):
    pipeline, X = fitted_pipeline(TimeDistributed(SCALERS[scaler]))
    explanation = attribute(pipeline, X, n_points=200)
    assert explanation.features_of == "X"
    assert_allclose(explanation.baseline, np.concatenate(X).mean(axis=0), rtol=1e-9)
    assert_complete(explanation, rtol=1e-4 if scaler in ("without mean", "without spread", "neither") else 1e-6)
    gradient = attribute(pipeline, X, method="gradient").attributions
    for actual, expected in zip(gradient, differences(lambda X: pipeline.predict(X).sum(), X, 1e-5), strict=True):
        assert_allclose(actual, expected, rtol=1e-4, atol=1e-7)
    baseline = [45.0, 12.0]
    occluded = attribute(pipeline, X, method="step_occlusion", baseline=baseline)
    assert_allclose(occluded.baseline, baseline, rtol=1e-9)
    changed = X[2].copy()
    changed[3] = baseline
    expected = pipeline.predict([X[2]])[0] - pipeline.predict([changed])[0]
    assert_allclose(occluded.attributions[2][3], expected, rtol=1e-7, atol=1e-12)


def test_several_scalers_and_pipelines_within_pipelines_are_undone():
    inner = make_pipeline(TimeDistributed(MinMaxScaler()), TimeDistributed(StandardScaler()))
    pipeline, X = fitted_pipeline(inner, "passthrough", TimeDistributed(RobustScaler()))
    explanation = attribute(pipeline, X, method="gradient")
    assert explanation.features_of == "X"
    expected = differences(lambda X: pipeline.predict(X).sum(), X, 1e-5)
    for actual, of_sequence in zip(explanation.attributions, expected, strict=True):
        assert_allclose(actual, of_sequence, rtol=1e-4, atol=1e-7)


def test_scalers_of_the_columns_of_a_table_are_undone():
    X = np.random.default_rng(0).normal(size=(8, 6)) * np.arange(1, 7) + np.arange(6)
    pipeline, _ = fitted_pipeline(StandardScaler(), X=X, step_features=2)
    gradient = attribute(pipeline, X, method="gradient")
    expected = differences(lambda X: pipeline.predict(np.array(X)).sum(), X)
    assert_allclose(gradient.attributions, expected, rtol=1e-5, atol=1e-8)
    assert_allclose(gradient.baseline, X.mean(axis=0), rtol=1e-12)
    baseline = np.arange(6.0)
    occluded = attribute(pipeline, X, method="occlusion", baseline=baseline).attributions
    changed = X.copy()
    changed[:, 3] = baseline[3]
    assert_allclose(occluded[:, 3], pipeline.predict(X) - pipeline.predict(changed), rtol=1e-9, atol=1e-12)


def test_baselines_that_are_sequences_pass_the_scalers():
    pipeline, X = fitted_pipeline(TimeDistributed(StandardScaler()))
    other = [x[::-1] for x in X]
    explanation = attribute(pipeline, X, baseline=other)
    assert_allclose(explanation.baseline_outputs, pipeline.predict(other), rtol=1e-12)


def test_names_come_from_the_first_scaler():
    frames = [pd.DataFrame(x, columns=["speed", "heat"]) for x in make_sequences()]
    pipeline, _ = fitted_pipeline(TimeDistributed(StandardScaler()), X=frames)
    assert_array_equal(attribute(pipeline, frames).feature_names, ["speed", "heat"])


@pytest.mark.parametrize(
    ("transformer", "names"),
    [
        (PCA(1), ["pca0"]),
        (MinMaxScaler(clip=True), ["speed", "heat"]),
        (ColumnTransformer([("one", StandardScaler(), ["heat"])]), ["one__heat"]),
        (FunctionTransformer(np.abs), ["x0", "x1"]),
    ],
    ids=["pca", "clipped", "columns", "without names"],
)
def test_other_transformers_give_their_own_features(transformer, names):
    frames = [pd.DataFrame(x, columns=["speed", "heat"]) for x in make_sequences()]
    pipeline, _ = fitted_pipeline(TimeDistributed(transformer), TimeDistributed(StandardScaler()), X=frames)
    explanation = attribute(pipeline, frames)
    assert explanation.features_of == "timedistributed-1"
    assert_array_equal(explanation.feature_names, names)
    transformed = pipeline[:1].transform(frames)
    assert_allclose(explanation.baseline, np.concatenate(transformed).mean(axis=0), rtol=0, atol=1e-9)
    assert explanation.attributions[0].shape == transformed[0].shape
    assert_complete(explanation, rtol=1e-6)


# ---- Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": 1}, "output=1 is no output of this RNNRegressor: choose one of \\[0\\]"),
        ({"output": [0, 0]}, "output must be one output, or one for each of the 5 sequences"),
        ({"step": 0}, "step=0 was given, but this RNNRegressor predicts once"),
        ({"baseline": "zero"}, "baseline='zero' must be 'mean', a number"),
        ({"baseline": np.nan}, "baseline=nan is not finite"),
        ({"baseline": [0.0, np.inf]}, "baseline contains inf"),
        ({"baseline": [0.0]}, "baseline has 1 values, but X has 2 features per step"),
        ({"baseline": ["a", "b"]}, "baseline is not numeric"),
        ({"baseline": make_sequences()[:4]}, "baseline has 4 sequences, but X has 5"),
        ({"baseline": make_sequences((5, 1, 6, 3, 5))}, "baseline\\[2\\] has 6 steps, but X\\[2\\] has 7"),
        ({"baseline": make_sequences(n_features=3)}, "baseline has 3 features"),
        ({"method": "step_removal"}, "X\\[1\\] has 1 step, which method='step_removal' cannot remove"),
        ({"method": "shap"}, "The 'method' parameter of attribute must be"),
        ({"n_points": 0}, "The 'n_points' parameter of attribute must be"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    regressor, X = fitted_regressor()
    with pytest.raises((ValueError, TypeError), match=message):
        attribute(regressor, X, **arguments)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (9, "step=9 does not exist in X\\[0\\], which has 5 steps"),
        (-2, "step=-2 does not exist in X\\[1\\], which has 1 steps"),
        (1.0, "step=1.0 must be an integer"),
        ([0, 0], "must be an integer, or one for each of the 5 sequences"),
    ],
)
def test_bad_steps_are_refused(step, message):
    regressor, X = fitted_regressor(readout="each")
    with pytest.raises(ValueError, match=message):
        attribute(regressor, X, step=step)


def test_steps_of_predictions_per_step_cannot_be_removed():
    regressor, X = fitted_regressor(readout="each")
    with pytest.raises(ValueError, match="method='step_removal' does not go with readout='each'"):
        attribute(regressor, X, method="step_removal")


def test_several_outputs_must_be_chosen_from():
    regressor, X = fitted_regressor(n_outputs=2)
    with pytest.raises(ValueError, match="output is None, but this RNNRegressor has 2 outputs: choose one of"):
        attribute(regressor, X)
    classifier, X = fitted_classifier()
    with pytest.raises(ValueError, match="output='d' is no class of this RNNClassifier"):
        attribute(classifier, X, "d")


def test_other_estimators_are_refused_by_name():
    X, y = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 2
    search = GridSearchCV(RNNClassifier(4, max_iter=1, random_state=0), {"alpha": [0.1]}, cv=2).fit(X, y)
    with pytest.raises(TypeError, match=r"estimator is a GridSearchCV, but .* Pass its best_estimator_"):
        attribute(search, X)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    with pytest.raises(TypeError, match="a Pipeline whose last step is a LogisticRegression"):
        attribute(pipeline, X)
    with pytest.raises(NotFittedError):
        attribute(RNNClassifier(), X)


def test_the_estimator_does_not_change():
    regressor, X = fitted_regressor()
    before = {name: value.copy() for name, value in regressor.weights_.items()}, regressor.predict(X)
    attribute(regressor, X)
    for name, value in regressor.weights_.items():
        assert_array_equal(value, before[0][name])
    assert_array_equal(regressor.predict(X), before[1])


def test_labels_in_messages_are_plain():
    X, y = [np.ones((3, 2)), np.zeros((4, 2))], np.array([np.str_("ok"), np.str_("worn")], dtype=object)
    classifier = plain_classifier((3,), max_iter=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"^output='new' is no class .* choose one of \['ok', 'worn'\]\.$"):
        attribute(classifier, X, "new")
    with pytest.raises(ValueError, match=r"not in classes_: \['new'\]; classes_ is \['ok', 'worn'\]\.$"):
        classifier.partial_fit(X, np.array([np.str_("ok"), np.str_("new")], dtype=object))


def test_a_single_sequence_without_baseline_gives_a_warning():
    X, y = [np.ones((3, 2)), np.zeros((4, 2))], [0.0, 1.0]
    regressor = plain_regressor((3,), max_iter=1, random_state=0).fit(X, y)
    with pytest.warns(UserWarning, match=r"^X has a single sequence, which is compared with its own mean") as caught:
        attribute(regressor, X[:1])
    assert caught[0].filename == __file__
    attribute(regressor, X[:1], baseline=0.5)  # a warning would be an error here
    attribute(regressor, X)
