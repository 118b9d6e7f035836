"""
Vanishing and exploding gradients, made visible
===============================================

A network learns to remember only if the error at the end of a sequence reaches the steps that caused it. On its way
back it is multiplied by one matrix at every step, the Jacobian of the state with respect to the state before it.
Over many steps such a product shrinks to nothing or grows beyond all bounds, unless the matrices are close to
keeping lengths [1]_ [2]_. :func:`~sklearn_rnn.inspection.gradient_flow` measures what arrives.
"""

# %%
# The adding problem asks for the sum of two marked numbers, one in each half of 100 steps. We take networks at the
# beginning, when it is decided whether they can learn it at all: one epoch at a tiny learning rate leaves
# them as they were drawn. Then recurrent weights and biases are set to what we want to look at, in place, through
# ``weights_``.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor
from sklearn_rnn.datasets import make_adding_problem
from sklearn_rnn.inspection import gradient_flow, truncation_bias

N_STEPS, N_UNITS = 100, 32
X, y = make_adding_problem(64, N_STEPS, random_state=0)


def make_network(cell):
    regressor = RNNRegressor(
        hidden_layer_sizes=(N_UNITS,),
        cell=cell,
        learning_rate_init=1e-9,
        max_iter=1,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    return regressor.fit(X, y)


# %%
# Three simple cells: the recurrent weights start as an orthogonal matrix, which keeps lengths. Multiplied by 0.7
# it shrinks them to at most 0.7 at every step. Large random weights do the opposite: the largest of their eigenvalues
# are about 2.5.

networks = {name: make_network("rnn") for name in ("rnn, small weights", "rnn, orthogonal", "rnn, large weights")}
networks["rnn, small weights"].weights_["layer_0.recurrent"][...] *= 0.7
generator = np.random.default_rng(0)
large = generator.normal(scale=2.5 / np.sqrt(N_UNITS), size=(N_UNITS, N_UNITS))
networks["rnn, large weights"].weights_["layer_0.recurrent"][...] = large

# %%
# And two gated cells with the same small weights, whose gates decide what is kept. The bias opens them: the LSTM's
# forget gate multiplies its cell state by sigmoid(4) = 0.98 at each step, and so does the GRU's update gate with its
# state. (The columns of all gates stand side by side: i, f, g, o in the LSTM, r, z, n in the GRU.)

for cell in ("lstm", "gru"):
    network = networks[f"{cell}, open gates"] = make_network(cell)
    network.weights_["layer_0.recurrent"][...] *= 0.7
    network.weights_["layer_0.bias"][N_UNITS : 2 * N_UNITS] = 4.0

# %%
# The flow of each: everything is counted in steps back from the loss, so that index 0 is the last step.

flows = {name: gradient_flow(network, X, y).layers[0] for name, network in networks.items()}

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", width_ratios=(3, 2))
lags = np.arange(N_STEPS)
for name, flow in flows.items():
    left.semilogy(lags, flow.hidden_norms, label=name)
    right.semilogy(lags, flow.singular_values, label=name)
left.set(
    xlabel="steps back from the loss",
    ylabel=r"$\|\partial L / \partial h_t\|$",
    title="What arrives of the error",
)
right.axhline(1, color="black", linestyle=":")
right.set(
    xlabel="steps back from the loss",
    ylabel=r"largest singular value of $\partial s_t / \partial s_{t-1}$",
    title="What one step can do to it",
)
left.legend()
plt.show()


# %%
# The straight lines are powers: the error is multiplied by about the same factor at each step.


def factor_per_step(norms):
    """The factor of the geometric sequence that is closest to ``norms``."""
    return np.exp(np.polyfit(np.arange(len(norms)), np.log(norms), 1)[0])


factors = {name: factor_per_step(flow.hidden_norms) for name, flow in flows.items()}
for name, factor in factors.items():
    print(f"{name:20} x {factor:.3f} at every step, x {factor**N_STEPS:.1e} over the sequence")

assert factors["rnn, small weights"] < 0.7 < factors["rnn, orthogonal"] < 1 < factors["rnn, large weights"]
assert 0.97 < factors["gru, open gates"] < 1 < factors["lstm, open gates"] < 1.05

# %%
# * **Vanishing.** With the small weights no singular value is above 0.7, and nothing is left after 100 steps: the
#   first number is not forgotten, it is never learned. Where all singular values stay below 1 it must be so [2]_.
# * **The orthogonal start** slows this down. But the derivative :math:`\tanh'` is below 1 in every unit whose state is
#   not 0. The largest singular value is that of the luckiest direction; the error, spread over all, fades faster.
# * **Exploding.** With the large weights one step can make an error three times as large. On its way through all
#   directions it grows by a fifth per step: a billionfold in the end. An update of that size ruins the weights; this
#   is what ``clip_norm`` is for.
# * **The gates' cure.** The GRU's error fades by 0.98 per step, as the update gate lets it, though its recurrent
#   weights are the small ones. The LSTM's drops once, as h is no more than what the output gate shows of c; from
#   then on the error travels in c, and does not fade.
#
# What truncation loses
# ---------------------
#
# ``truncation=h`` lets errors flow back through h steps only. Is that much less than the whole gradient? The
# gradient of the recurrent weights is the sum of what each step contributes, and ``dropped_share[h]`` the share of this
# sum that comes from beyond the last h steps.

fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for name, flow in flows.items():
    # Up to the second step: the first one, which has the state 0 before it, adds nothing to dL/dU.
    ax.semilogy(flow.dropped_share[: N_STEPS - 1], label=name)
ax.set(
    xlabel="truncation (steps)",
    ylabel="share of the gradient dropped",
    title=r"$\partial L / \partial U$ without the steps further back",
    ylim=(1e-8, 2),
)
ax.legend()
plt.show()

assert flows["rnn, small weights"].dropped_share[20] < 0.001
assert flows["gru, open gates"].dropped_share[20] > 0.5
assert flows["lstm, open gates"].dropped_share[20] > 0.8
assert flows["rnn, large weights"].dropped_share[50] > 0.99

# %%
# With vanishing gradients 20 steps are as good as 100: there is nothing to be lost. Truncation costs nothing where
# nothing was learned over long distances anyway, and most where a cell can bridge them. (The exploding network's
# gradient is all from the far end, as if the last steps did not count.)
#
# :func:`~sklearn_rnn.inspection.truncation_bias` compares the truncated gradient of *all* parameters with the full
# one, computed as in training. Here is the GRU's.

bias = truncation_bias(networks["gru, open gates"], X, y, [1, 2, 5, 10, 20, 50, N_STEPS])

fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
ax.plot(bias.truncations, bias.cosine, "o-", label="cosine of the angle to the full gradient")
ax.plot(bias.truncations, bias.relative_norm, "o-", label="norm, relative to the full gradient")
ax.plot(bias.truncations, bias.relative_bias, "o-", label="bias, relative to the full gradient")
ax.set(xscale="log", xlabel="truncation (steps)", ylim=(0, 1.05))
ax.legend()
plt.show()

assert (bias.cosine > 0).all()
assert bias.relative_bias[-1] == 0

# %%
# As long as the relative bias is below 1, every step still goes downhill, and gradient descent can converge [3]_. But
# it goes downhill by the last steps of the sequences: what the first number has to do with the answer is in the part
# that is missing.
#
# The same two functions tell of a network that has been trained. Pass a few dozen sequences: the flow is computed in
# memory for all their steps.
#
# .. rubric:: References
#
# .. [1] S. Hochreiter (1991). Untersuchungen zu dynamischen neuronalen Netzen. Diploma thesis, TU München.
#
# .. [2] R. Pascanu, T. Mikolov and Y. Bengio (2013). On the difficulty of training recurrent neural networks.
#        ICML, PMLR 28(3), 1310-1318.
#
# .. [3] C. Aicher, N. J. Foti and E. B. Fox (2019). Adaptively truncating backpropagation through time to control
#        gradient bias. UAI, PMLR 115, 799-808.
