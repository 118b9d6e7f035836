"""diagnose: each finding on a fit that was made to have it, and none on healthy fits."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network import kernels
from sklearn_rnn.datasets import load_japanese_vowels, make_temporal_order
from sklearn_rnn.inspection import diagnose

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:X has features that are far from scale"),
]

GENERATOR = np.random.default_rng(0)
X = [GENERATOR.normal(size=(n, 3)) for n in GENERATOR.integers(10, 40, 120)]
y = np.array([3 * x[:, 0].mean() + x[-1, 1] for x in X])
STEPS = [np.cumsum(x[:, 0]) / 5 for x in X]
LABELS = np.array(["down", "up"])[(y > 0).astype(int)]
RARE = np.where(np.arange(120) < 3, "rare", LABELS)
MOSTLY_UP = np.where(np.arange(120) < 10, "down", "up")
UPPER = np.where(np.arange(120) < 40, "down", "up")
needs_kernels = pytest.mark.skipif(kernels.name == "numpy", reason="NumPy is a finding of its own")


def regressor(**settings):
    return RNNRegressor(**{"hidden_layer_sizes": 8, "max_iter": 20, "random_state": 0} | settings)


def classifier(**settings):
    return RNNClassifier(**{"hidden_layer_sizes": 8, "max_iter": 20, "random_state": 0} | settings)


@needs_kernels
@pytest.mark.parametrize("problem", ["vowels", "values", "steps", "categories"])
def test_healthy_fits_have_no_findings(problem):
    if problem == "vowels":
        sequences, labels = load_japanese_vowels(subset="train", return_X_y=True)
        estimator = RNNClassifier(random_state=0, max_iter=40).fit(sequences, labels)
        diagnosis = diagnose(estimator, sequences, labels)
    elif problem == "categories":
        tokens = [np.where(x[:, 0] > 0, "up", "down").tolist() for x in X]
        labels = [text.count("up") > len(text) / 2 for text in tokens]
        diagnosis = diagnose(classifier(max_iter=60).fit(tokens, labels), tokens, labels)
    else:
        estimator = regressor(max_iter=100, readout="each") if problem == "steps" else regressor(max_iter=100)
        targets = STEPS if problem == "steps" else y
        diagnosis = diagnose(estimator.fit(X, targets), X, targets)
    assert diagnosis.findings == []
    assert not diagnosis
    assert repr(diagnosis) == "No findings."
    assert diagnosis._repr_html_() == "<p>No findings.</p>"


FAR = [1e4 * x + 5e5 for x in X]
SGD = {"solver": "sgd", "learning_rate": "constant", "clip_norm": None}
ORDER = make_temporal_order(60, random_state=0)
SMALL_RNN = {"cell": "rnn", "readout": "last", "bidirectional": False, "patch_size": 1}
DEAD = {"normalize_features": False, "cell": "rnn", "activation": "relu", "learning_rate_init": 1e-9}

# The estimator, X and y; the name, and words of the text and of the advice.
BROKEN = {
    "features": (regressor(normalize_features=False), FAR, y, "features out of scale", "3 of 3", "StandardScaler"),
    "targets": (regressor(normalize_y=False), X, 1e4 * y, "targets out of scale", "spread", "normalize_y=True"),
    "clipping": (regressor(clip_norm=1e-6), X, y, "gradients clipped", "100% of the updates", "clip_norm"),
    "vanishing": (classifier(**SMALL_RNN, max_iter=2), *ORDER, "vanishing gradient", "steps back", "cell='gru'"),
    "slow": (regressor(learning_rate_init=1e-9), X, y, "loss does not fall", "0.0%", "larger learning_rate_init"),
    "too fast": (regressor(**SGD, learning_rate_init=3.0), X, y, "loss rises", "in the last one", "smaller"),
    "much too fast": (
        regressor(learning_rate_init=1.0),
        X,
        y,
        "loss above guessing",
        "at the end",
        "ten times smaller",
    ),
    "too fast at first": (
        classifier(learning_rate_init=0.5),
        X,
        LABELS,
        "loss above guessing",
        "guessing has 0.693: the first steps",
        "even if the loss falls",
    ),
    "too short": (regressor(learning_rate="constant", max_iter=6), X, y, "loss still falls", "last tenth", "max_iter"),
    "one class": (classifier(alpha=1e5), X, UPPER, "constant predictions", "All predictions are 'up'", "targets"),
    "rare failures": (
        classifier(alpha=1e5),
        X,
        MOSTLY_UP,
        "constant predictions",
        "All predictions are 'up', which 92% of the targets are",
        "class_weight='balanced', or a threshold",
    ),
    "one value": (
        regressor(normalize_y=False, learning_rate_init=1e-9),
        X,
        1e4 * y,
        "constant predictions",
        "of the spread of the targets",
        "targets",
    ),
    "rare class": (classifier(alpha=10.0), X, RARE, "classes never predicted", "such as 'rare'", "class_weight"),
    "saturated": (
        regressor(normalize_features=False, cell="rnn", readout="last"),
        FAR,
        y,
        "saturated units",
        "at their limits",
        "normalize_features",
    ),
    "saturated logistic": (
        regressor(normalize_features=False, cell="rnn", activation="logistic"),
        FAR,
        y,
        "saturated units",
        "at their limits",
        "normalize_features",
    ),
    "dead": (
        regressor(**DEAD, bidirectional=False, hidden_layer_sizes=(8,)),
        [-1e9 * np.abs(x[:, :1]) * np.ones((1, 1)) for x in X],
        y,
        "dead units",
        "are 0 at every step",
        "tanh",
    ),
}


@pytest.mark.parametrize(("estimator", "X", "y", "name", "text", "advice"), BROKEN.values(), ids=BROKEN)
def test_broken_fits_have_the_finding(estimator, X, y, name, text, advice):
    diagnosis = diagnose(estimator.fit(X, y), X, y)
    assert name in diagnosis.names
    finding = diagnosis.findings[diagnosis.names.index(name)]
    assert text in finding.text
    assert advice in finding.advice
    assert np.isfinite(finding.number)
    assert f"{name}\n  " in repr(diagnosis)
    assert all(len(line) <= 88 for line in repr(diagnosis).splitlines())
    assert f"<th>{name}</th>" in diagnosis._repr_html_()
    assert len(diagnosis) == len(list(diagnosis))


def test_overfitting_needs_validation_data():
    noise = GENERATOR.permutation(LABELS)
    clf = classifier(learning_rate_init=0.02).fit(X[:80], noise[:80], X_val=X[80:], y_val=noise[80:])
    diagnosis = diagnose(clf, X[:80], noise[:80])
    assert "overfitting" in diagnosis.names
    assert "the most frequent class alone has about 0.5" in repr(diagnosis).replace("\n  ", " ")
    assert "First check that y belongs to these X" in repr(diagnosis)
    assert "overfitting" not in diagnose(clf.fit(X[:80], noise[:80]), X[:80], noise[:80]).names


def test_overfitting_of_a_network_that_learned_something_is_not_sent_to_the_targets():
    signs = np.array([x[:10, 0].sum() > 0 for x in X])
    clf = classifier(max_iter=60, learning_rate_init=0.01)
    clf.fit(X[:40], signs[:40], X_val=X[40:], y_val=signs[40:])
    assert clf.validation_scores_[-1] > 0.65
    diagnosis = diagnose(clf, X[:40], signs[:40])
    assert "overfitting" in diagnosis.names
    assert "y belongs" not in repr(diagnosis)


def test_overfitting_of_shuffled_values_is_compared_with_the_mean():
    noise = GENERATOR.permutation(y)
    reg = regressor(learning_rate_init=0.01, max_iter=30).fit(X[:80], noise[:80], X_val=X[80:], y_val=noise[80:])
    diagnosis = diagnose(reg, X[:80], noise[:80])
    assert "the mean of the targets alone has about 0:" in repr(diagnosis).replace("\n  ", " ")
    assert "First check that y belongs" in repr(diagnosis)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "poisson"])
def test_no_loss_is_above_guessing_after_a_good_training(loss):
    targets = np.exp(0.3 * y)
    assert "loss above guessing" not in diagnose(regressor(loss=loss).fit(X, targets), X, targets).names


def test_a_large_penalty_is_not_taken_for_too_long_steps():
    clf = classifier(alpha=30.0).fit(X, LABELS)
    assert clf.loss_curve_[0] > 10 * np.log(2)
    assert "loss above guessing" not in diagnose(clf, X, LABELS).names


def test_saturated_units_of_scaled_features_need_no_scaling():
    diagnosis = diagnose(regressor(learning_rate_init=10.0).fit(X, y), X, y)
    assert diagnosis.findings[diagnosis.names.index("saturated units")].advice.startswith("A smaller learning_rate")


def test_a_network_that_is_not_finite():
    reg = regressor().fit(X, y)
    reg.weights_["readout.bias"][...] = np.nan
    assert "loss not finite" in diagnose(reg, X, y).names


def test_numpy_is_a_finding(monkeypatch):
    reg = regressor(max_iter=1).fit(X, y)
    monkeypatch.setattr("sklearn_rnn.inspection._diagnose.kernels", SimpleNamespace(name="numpy"))
    assert "no compiled kernels" in diagnose(reg, X, y).names


def test_a_diagnosis_changes_nothing():
    reg = regressor().fit(X, y)
    before = {name: weights.copy() for name, weights in reg.weights_.items()}
    attributes = set(vars(reg))
    diagnose(reg, X, y)
    assert set(vars(reg)) == attributes
    for name, weights in before.items():
        assert (reg.weights_[name] == weights).all()


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match=r"^estimator is a Pipeline, but it must be"):
        diagnose(make_pipeline(regressor()).fit(X, y), X, y)
    with pytest.raises(ValueError, match="not fitted yet"):
        diagnose(regressor(), X, y)
    with pytest.raises(ValueError, match=r"^X contains NaN"):
        diagnose(regressor(max_iter=1).fit(X, y), [np.full((3, 3), np.nan)], y[:1])
