"""
Truncation: how far back is enough?
===================================

Backpropagation through time that is cut after h steps is cheaper, and its gradients are biased: what the loss has to
do with anything earlier is missing. How large is the bias? ``truncation="auto"`` measures it and chooses h [1]_. And
``truncation="unbiased"`` cuts at random, and makes up for it, so that nothing is missing in the mean [2]_.
"""

# %%
# Two lags
# --------
#
# White noise, and the task to give back at every step what came 3 steps before; and the same with 20 steps. With
# ``truncation="auto"`` the number of steps is chosen before the first epoch and after every 10 epochs:
# the fewest for which a bound of the relative bias is below ``truncation_tolerance``. ``truncation_`` is the
# number of the last epoch. (``partial_fit`` on all data is an epoch.)

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor
from sklearn_rnn.inspection import truncation_bias

N_SEQUENCES, N_STEPS, N_EPOCHS = 32, 200, 101


def make_lagged_noise(lag):
    X = np.random.default_rng(0).normal(size=(N_SEQUENCES, N_STEPS, 1))
    y = np.zeros((N_SEQUENCES, N_STEPS))
    y[:, lag:] = X[:, :-lag, 0]
    return X, y


SETTINGS = {"hidden_layer_sizes": (32,), "cell": "rnn", "readout": "each", "batch_size": 16, "random_state": 0}

regressors, chosen = {}, {}
for lag in (3, 20):
    X, y = make_lagged_noise(lag)
    regressors[lag], chosen[lag] = RNNRegressor(**SETTINGS, truncation="auto"), []
    for _ in range(N_EPOCHS):
        chosen[lag].append(regressors[lag].partial_fit(X, y).truncation_)
    print(f"lag {lag:2}: truncation_ every 10 epochs {chosen[lag][::10]}, loss {regressors[lag].loss_:.4f}")

assert np.median(chosen[3]) < 60 < np.median(chosen[20])
assert regressors[3].loss_ < 0.01
assert regressors[20].loss_ < 0.05

# %%
# At the start neither network knows anything, and some dozens of steps do for both. Then the one learns to look 20
# steps back, and its gradients begin to reach back: more is needed. The other learns to look at the last steps alone.
#
# Was that right? :func:`~sklearn_rnn.inspection.truncation_bias` computes the truncated gradients and the full one.

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
truncations = [1, 2, 5, 10, 20, 50, 100, 200]
for color, (lag, regressor) in zip(("C0", "C1"), regressors.items()):
    X, y = make_lagged_noise(lag)
    left.step(np.arange(1, N_EPOCHS + 1), chosen[lag], where="mid", color=color, label=f"lag {lag}")
    bias = truncation_bias(regressor, X, y, truncations)
    right.plot(truncations, bias.relative_bias, "o-", color=color, label=f"lag {lag}")
    right.axvline(regressor.truncation_, color=color, linestyle=":")
    at_choice = truncation_bias(regressor, X, y, [regressor.truncation_]).relative_bias[0]
    print(f"lag {lag:2}: relative bias with truncation_={regressor.truncation_}: {at_choice:.3f}")
    assert at_choice < regressor.truncation_tolerance
right.axhline(0.5, color="black", linewidth=0.5)
left.set(xlabel="epoch", ylabel="truncation_ (steps)", yscale="log", title='truncation="auto"')
right.set(xlabel="truncation (steps)", ylabel="relative bias", xscale="log", title="after training")
left.legend()
right.legend()
plt.show()

# %%
# The dotted lines are the choices. They are on the safe side: the bound adds up the norms of what each step
# contributes, as if all of it pointed one way. With ``readout="each"`` and windows of h steps losses flow back through
# 1 to h steps, so that h must be a good deal more than the lag.
#
# Influence balancing
# -------------------
#
# A bias can be worse than slow. Tallec and Ollivier [2]_ have a task where it points the wrong way: a linear system of
# 23 units with one parameter :math:`\theta`,
#
# .. math::
#
#    s_{t+1} = A s_t + (\theta, \ldots, \theta, -\theta, \ldots, -\theta)^T,
#
# in which A has 1/2 on its diagonal and 1/2 right above it. So each unit hears from itself and from the next one. The
# first unit is to become 1. Here 10 units have :math:`+\theta` and 13 have :math:`-\theta`: what
# :math:`\theta` does to the first unit within some steps has the sign plus, as it comes from the units close by; the
# influence of the others takes longer to arrive, and it is larger.

N_UNITS, N_POSITIVE = 23, 10
signs = np.where(np.arange(N_UNITS) < N_POSITIVE, 1.0, -1.0)
A = 0.5 * (np.eye(N_UNITS) + np.eye(N_UNITS, k=1))

state, influence = np.zeros(N_UNITS), []
for _ in range(150):
    state = A @ state + signs
    influence.append(state[0])
theta_star = 1 / influence[-1]
print(f"influence of theta on the first unit: {influence[9]:.1f} after 10 steps, {influence[-1]:.4f} in the end")

# %%
# As a network of this package: the cell "rnn" with the identity as activation computes
# :math:`h_t = h_{t-1} U + x_t W`, with states as rows, so that U is the transpose of A. The input is always 1, W is
# :math:`\theta` times the signs, and the output layer reads the first unit. Weights are set in place, through
# ``weights_``.
#
# There is no parameter :math:`\theta` that the package would know: it trains all weights. But their change tells the
# gradient. With plain gradient descent at a rate of 1 the change of W is the negative gradient; its part in the
# direction of the signs is that of :math:`\theta`. We take it, with a rate of our own that falls as one over
# the root of time, and put all weights back in their places.
#
# The system never ends: it is trained as a stream, with ``stateful=True``, in chunks of 500 steps. In the paper each
# step has a loss, and the weights change at every window. Here ``readout="mean"`` asks for the mean of the first
# unit over the chunk, so that there is one update, and one projection, a chunk. Errors enter at every step in both
# cases, and windows cut them alike.

CHUNK, N_UPDATES, RATE = 500, 150, 0.01
X, y = np.ones((1, CHUNK, 1)), np.ones(1)


def put_in_place(regressor, theta):
    weights = regressor.weights_
    weights["layer_0.recurrent"][...] = A.T
    weights["layer_0.input"][...] = theta * signs
    weights["layer_0.bias"][...] = 0
    weights["readout.weight"][...] = 0
    weights["readout.weight"][0] = 1
    weights["readout.bias"][...] = 0


def make_balance(truncation, truncation_stride=None, seed=0):
    regressor = RNNRegressor(
        hidden_layer_sizes=(N_UNITS,),
        cell="rnn",
        activation="identity",
        readout="mean",
        stateful=True,
        truncation=truncation,
        truncation_stride=truncation_stride,
        solver="sgd",
        momentum=0.0,
        nesterovs_momentum=False,
        learning_rate_init=1.0,
        alpha=0.0,
        clip_norm=None,
        random_state=seed,
    )
    return regressor.partial_fit(X, y).reset_state()  # a first call makes the network; what it learned is overwritten


def thetas_of(regressor):
    """Return theta before and after every update."""
    thetas = [0.0]
    put_in_place(regressor, thetas[0])
    for t in range(N_UPDATES):
        regressor.partial_fit(X, y)
        change = (regressor.weights_["layer_0.input"][0] - thetas[-1] * signs) @ signs
        thetas.append(thetas[-1] + RATE / np.sqrt(1 + t) * change)
        put_in_place(regressor, thetas[-1])
    return np.array(thetas)


# %%
# Full backpropagation (within a chunk) knows the way. Windows of 10 steps, and even of 100, lead to the wrong
# side, and farther and farther away. Windows of random lengths, of 32 steps in the mean, get there: by a way of their
# own with every seed.

runs = {
    "truncation=None": [thetas_of(make_balance(None))],
    "truncation=10": [thetas_of(make_balance(10))],
    "truncation=100": [thetas_of(make_balance(100))],
    'truncation="unbiased"': [thetas_of(make_balance("unbiased", 32, seed)) for seed in range(4)],
}
errors = {name: np.abs(np.array(thetas) - theta_star) for name, thetas in runs.items()}
for name, of_seeds in errors.items():
    print(f"{name:22} |theta - theta*|: {of_seeds[0, 0]:.4f} at first, {of_seeds[:, -1].max():.4f} in the end")

assert errors["truncation=None"][0, -1] < 0.001
assert errors["truncation=10"][0, -1] > 100 * errors["truncation=10"][0, 0]
assert errors["truncation=100"][0, -1] > 2 * errors["truncation=100"][0, 0]
assert errors['truncation="unbiased"'][:, -1].max() < 0.01

# %%

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(np.arange(1, 151), influence)
left.axhline(0, color="black", linewidth=0.5)
left.set(xlabel="steps", title=r"influence of $\theta$ on the first unit", ylabel="d s / d theta")
for color, (name, of_seeds) in zip(("black", "C3", "C1", "C0"), errors.items()):
    for i, error in enumerate(of_seeds):
        right.semilogy(error, color=color, linewidth=1 if i else 2, label=None if i else name)
right.set(xlabel="updates", ylabel=r"$|\theta - \theta^*|$", ylim=(1e-5, 1e3))
right.legend(loc="upper left")
plt.show()

# %%
# Windows of 100 steps are longer than all influences take to arrive. But the first losses of a window flow back through
# a few steps only; a stride that is smaller than the window would help (``truncation_stride``), at its price.
#
# Unbiased means: the mean over what may be drawn is the gradient of full backpropagation *within the chunk*. What
# lies before the chunk's first step is out of reach for all, which is why the chunks are long here, compared with the
# 70 steps that influences take. The price is variance, which the falling rate averages out: errors that
# happen to get far are multiplied by large factors. Clipping, and solvers that divide by the gradient's size, take
# part of this away again: of a gradient that has been clipped the mean is another one.
#
# Which to choose? Full backpropagation where memory allows (``memory_budget`` makes it allow more). ``"auto"``
# where sequences are long, but memories are thought to be short. ``"unbiased"`` where neither will do, with a small
# learning rate. :doc:`/user_guide/long_sequences` says more.
#
# .. rubric:: References
#
# .. [1] C. Aicher, N. J. Foti and E. B. Fox (2019). Adaptively truncating backpropagation through time to
#        control gradient bias. UAI, PMLR 115, 799-808.
#
# .. [2] C. Tallec and Y. Ollivier (2017). Unbiasing truncated backpropagation through time. arXiv:1705.08209.
