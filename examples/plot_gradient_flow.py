"""
Vanishing and exploding gradients, made visible
===============================================

A network learns to remember only if the error at the end of a sequence reaches the steps that caused it. On its way
back the error is multiplied by one matrix at every step: the Jacobian of the state with respect to the previous state.
Over many steps this product becomes very small or very large, unless the matrices almost preserve lengths [1]_ [2]_.
:func:`~sklearn_rnn.inspection.gradient_flow` measures the error that arrives at each step, and
:class:`~sklearn_rnn.inspection.GradientFlowDisplay` draws it.
"""

# %%
# The target of the adding problem is the sum of two marked numbers, one in each half of 100 steps. We look at networks
# before training, because their start decides whether they can learn the problem at all. The networks read in one
# direction and step by step (``patch_size=1``), and predict from the last state. So there is one way back from the loss
# to each step. One epoch with a tiny learning rate almost keeps the start values. Then we set the recurrent weights and
# biases in place, through ``weights_``.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor
from sklearn_rnn.datasets import make_adding_problem
from sklearn_rnn.inspection import GradientFlowDisplay, TruncationBiasDisplay

N_STEPS, N_UNITS = 100, 32
X, y = make_adding_problem(64, N_STEPS, random_state=0)


def make_network(cell):
    regressor = RNNRegressor(
        hidden_layer_sizes=(N_UNITS,),
        cell=cell,
        bidirectional=False,
        readout="last",
        patch_size=1,
        learning_rate_init=1e-9,
        max_iter=1,
        random_state=0,
    )
    return regressor.fit(X, y)


# %%
# There are three simple cells. Their recurrent weights start as an orthogonal matrix, which preserves lengths. For the
# first cell we multiply the matrix by 0.7: one step then multiplies lengths by at most 0.7. The second cell keeps
# the orthogonal matrix. The third cell gets large random weights, whose largest eigenvalues are about 2.5.

networks = {
    name: make_network("rnn")
    for name in ("rnn, small weights", "rnn, orthogonal", "rnn, large weights")
}
networks["rnn, small weights"].weights_["layer_0.recurrent"][...] *= 0.7
generator = np.random.default_rng(0)
large = generator.normal(scale=2.5 / np.sqrt(N_UNITS), size=(N_UNITS, N_UNITS))
networks["rnn, large weights"].weights_["layer_0.recurrent"][...] = large

# %%
# There are also two gated cells with the same small weights. Their gates decide how much of the state they keep. A
# large bias opens the gates: the LSTM's forget gate multiplies its cell state by sigmoid(4) = 0.98 at each step, and
# the GRU's update gate does the same with its state. (The columns of all gates are side by side: i, f, g, o in the
# LSTM, r, z, n in the GRU.)

for cell in ("lstm", "gru"):
    network = networks[f"{cell}, open gates"] = make_network(cell)
    network.weights_["layer_0.recurrent"][...] *= 0.7
    network.weights_["layer_0.bias"][N_UNITS : 2 * N_UNITS] = 4.0

# %%
# The display computes the flow of each network, and shows the norm of the error that arrives at each step. It counts
# steps back from the loss, so 0 is the last step.

display = GradientFlowDisplay.from_estimators(networks, X, y)
plt.show()

# %%
# The same flows have the largest factor by which each step can enlarge an error: the largest singular value of its
# Jacobian.

display.plot(quantity="singular_values")
plt.show()


# %%
# The straight lines of the first figure are powers: the error is multiplied by about the same factor at each step.


def factor_per_step(norms):
    """The factor of the geometric sequence that is closest to ``norms``."""
    return np.exp(np.polyfit(np.arange(len(norms)), np.log(norms), 1)[0])


flows = {name: flow.layers[0] for name, flow in display.flows.items()}
factors = {name: factor_per_step(flow.hidden_norms) for name, flow in flows.items()}
for name, factor in factors.items():
    print(
        f"{name:20} x {factor:.3f} at every step, x {factor**N_STEPS:.1e} over the "
        "sequence"
    )

assert (
    factors["rnn, small weights"]
    < 0.7
    < factors["rnn, orthogonal"]
    < 1
    < factors["rnn, large weights"]
)
assert 0.97 < factors["gru, open gates"] < 1 < factors["lstm, open gates"] < 1.05

# %%
# * **Vanishing.** With the small weights no singular value is above 0.7, and almost no error is left after 100 steps.
#   So the network cannot learn to use the first number. If all singular values stay below 1, the error must vanish
#   [2]_.
# * **The orthogonal start** slows this down. But the derivative :math:`\tanh'` is below 1 in every unit whose state is
#   not 0. The largest singular value belongs to the best direction. The error has parts in all directions, so it
#   vanishes faster.
# * **Exploding.** With the large weights one step can make an error three times as large. The actual error, with its
#   parts in all directions, grows by a fifth per step. Over the sequence it grows by a factor of several hundred
#   million. An update of this size ruins the weights. ``clip_norm`` prevents such updates, and so does ``clip_update``,
#   the default with Adam.
# * **Gates help.** The GRU's error is multiplied by 0.98 per step. This is the factor of its update gate, although its
#   recurrent weights are the small ones. The LSTM's error decreases once, because the output gate passes only a part of
#   c to h. After that the error flows back in c, and does not decrease.
#
# The part that truncation omits
# ------------------------------
#
# With ``truncation=h`` errors flow back through h steps only. How much of the gradient is missing then? The gradient of
# the recurrent weights is the sum of the contributions of all steps. ``dropped_share[h]`` is the share of this sum that
# comes from before the last h steps.

display.plot(quantity="dropped_share").ax_.set_ylim(1e-8, 2)
plt.show()

assert flows["rnn, small weights"].dropped_share[20] < 0.001
assert flows["gru, open gates"].dropped_share[20] > 0.5
assert flows["lstm, open gates"].dropped_share[20] > 0.8
assert flows["rnn, large weights"].dropped_share[50] > 0.99

# %%
# With vanishing gradients 20 steps are as good as 100, because the earlier steps contribute almost nothing. So
# truncation loses nothing if the network cannot learn over long distances anyway. It loses most if the cell can. (The
# gradient of the exploding network comes almost entirely from the first steps.)
#
# :func:`~sklearn_rnn.inspection.truncation_bias` compares the truncated gradient of *all* parameters with the full
# gradient. It computes them as training does. This is the result for the GRU: the norm of the truncated gradient, its
# distance from the full gradient (the bias), and the cosine of the angle between both.

bias = TruncationBiasDisplay.from_estimator(networks["gru, open gates"], X, y)
plt.show()

assert (bias.cosine > 0).all()
assert bias.relative_bias[-1] == 0

# %%
# While the relative bias is below 1, every update still has a descent direction, and gradient descent can converge
# [3]_. But the truncated gradient contains only the last steps of the sequences. The missing part contains the
# influence of the first number.
#
# The same two functions also work with a trained network. Pass a few dozen sequences only, because the flow of all
# their steps is kept in memory.
#
# .. rubric:: References
#
# .. [1] \S. Hochreiter (1991). Untersuchungen zu dynamischen neuronalen Netzen. Diploma thesis, TU München.
#
# .. [2] R. Pascanu, T. Mikolov and Y. Bengio (2013). On the difficulty of training recurrent neural networks.
#        ICML, PMLR 28(3), 1310-1318.
#
# .. [3] C. Aicher, N. J. Foti and E. B. Fox (2019). Adaptively truncating backpropagation through time to control
#        gradient bias. UAI, PMLR 115, 799-808.
