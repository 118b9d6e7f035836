"""Comparison with captum: the same weights in torch give the same attributions."""

import os

import numpy as np
import pytest
from helpers import RAGGED, import_torch, make_sequences, plain_classifier, plain_regressor, randomize
from numpy.testing import assert_allclose
from test_torch_parity import TorchNetwork, each_cell, each_direction

from sklearn_rnn.inspection import attribute

torch = import_torch()
if os.environ.get("SKLEARN_RNN_REQUIRE_TORCH") == "1":
    import captum.attr as captum
else:
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning"),
]

each_readout = pytest.mark.parametrize("readout", ["last", "mean", "max", ("last", "max", "mean")], ids=str)
BASELINE = np.array([0.5, -1.0])
N_POINTS = 30
# captum holds the weights of the points, and the changes of occluded outputs, in float32.
ERROR_OF_CAPTUM = 1e-6


def make_classifier(cell, activation, bidirectional, readout):
    """A classifier of three classes with random weights, and the same network in torch."""
    X = make_sequences((*RAGGED, 4))
    settings = {"cell": cell, "activation": activation, "bidirectional": bidirectional, "readout": readout}
    classifier = plain_classifier((4, 3), max_iter=1, **settings).fit(X, [0, 1, 2, 0, 1, 2])
    randomize(classifier.weights_)
    return classifier, X, TorchNetwork(classifier.weights_, cell, activation, readout)


def of_captum(explainer, witness, x, label, **options):
    """Attributions of one sequence, (n_steps, n_features)."""

    def scores(batch):
        return witness.scores(list(batch))

    sequence = torch.tensor(x, requires_grad=True)
    values = explainer(scores).attribute(sequence[None], target=int(label), **options)
    return values[0].detach().numpy()


@each_readout
@each_direction
@each_cell
def test_integrated_gradients_are_those_of_captum(cell, activation, bidirectional, readout, record_difference):
    classifier, X, witness = make_classifier(cell, activation, bidirectional, readout)
    explanation = attribute(classifier, X, 2, baseline=BASELINE, n_points=N_POINTS)
    for x, actual in zip(X, explanation.attributions, strict=True):
        options = {"baselines": torch.as_tensor(np.broadcast_to(BASELINE, x.shape).copy())[None]}
        options |= {"n_steps": N_POINTS, "method": "gausslegendre"}
        expected = of_captum(captum.IntegratedGradients, witness, x, 2, **options)
        scale = np.abs(expected).max()
        record_difference("integrated gradients", np.abs(actual - expected).max() / scale)
        assert_allclose(actual, expected, rtol=0, atol=ERROR_OF_CAPTUM * scale)


@each_readout
@each_cell
def test_gradients_are_those_of_captum(cell, activation, readout):
    classifier, X, witness = make_classifier(cell, activation, True, readout)
    explanation = attribute(classifier, X, 1, method="gradient")
    for x, actual in zip(X, explanation.attributions, strict=True):
        expected = of_captum(captum.Saliency, witness, x, 1, abs=False)
        assert_allclose(actual, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@each_cell
def test_occlusion_is_that_of_captum(cell, activation):
    classifier, X, witness = make_classifier(cell, activation, False, "last")
    by_value = attribute(classifier, X, 0, method="occlusion", baseline=BASELINE).attributions
    by_step = attribute(classifier, X, 0, method="step_occlusion", baseline=BASELINE).attributions
    for i, x in enumerate(X):
        options = {"baselines": torch.as_tensor(np.broadcast_to(BASELINE, x.shape).copy())[None]}
        expected = of_captum(captum.Occlusion, witness, x, 0, sliding_window_shapes=(1, 1), **options)
        assert_allclose(by_value[i], expected, rtol=0, atol=ERROR_OF_CAPTUM * np.abs(expected).max())
        expected = of_captum(captum.Occlusion, witness, x, 0, sliding_window_shapes=(1, 2), **options)
        assert_allclose(by_step[i], expected[:, 0], rtol=0, atol=ERROR_OF_CAPTUM * np.abs(expected).max())


def test_integrated_gradients_of_a_regressor_are_in_units_of_y():
    X = make_sequences()
    regressor = plain_regressor((4,), cell="lstm", max_iter=1).fit(X, np.array([10.0, 30, -20, 50, 5]))
    randomize(regressor.weights_)
    witness = TorchNetwork(regressor.weights_, "lstm", "tanh", "last")
    explanation = attribute(regressor, X, baseline=BASELINE, n_points=N_POINTS)
    for x, actual in zip(X, explanation.attributions, strict=True):
        options = {"baselines": torch.as_tensor(np.broadcast_to(BASELINE, x.shape).copy())[None]}
        options |= {"n_steps": N_POINTS, "method": "gausslegendre"}
        expected = regressor.target_scale_ * of_captum(captum.IntegratedGradients, witness, x, 0, **options)
        assert_allclose(actual, expected, rtol=0, atol=ERROR_OF_CAPTUM * np.abs(expected).max())
