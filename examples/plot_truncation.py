"""
Truncation: how many steps are enough?
======================================

Backpropagation through time is cheaper if it stops after h steps, but then its gradients are biased: the influence of
all earlier steps is missing. ``truncation="auto"`` measures this bias and chooses h [1]_. ``truncation="unbiased"``
ends the windows at random and weights the errors, so that the mean of the gradients has no bias [2]_.
"""

# %%
# Two lags
# --------
#
# The input is white noise. At every step, the first task is to return the input of 3 steps before. In the second task
# it is the input of 20 steps before. ``truncation="auto"`` chooses the number of steps before the first epoch and after
# every 10 epochs. It takes the smallest number for which a bound of the relative bias is below
# ``truncation_tolerance``. ``truncation_`` is the number in the last epoch. (A call of ``partial_fit`` with all data is
# an epoch.)

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor
from sklearn_rnn.inspection import TruncationBiasDisplay, truncation_bias

plt.rc("font", size=13)

N_SEQUENCES, N_STEPS, N_EPOCHS = 32, 200, 101


def make_lagged_noise(lag):
    X = np.random.default_rng(0).normal(size=(N_SEQUENCES, N_STEPS, 1))
    y = np.zeros((N_SEQUENCES, N_STEPS))
    y[:, lag:] = X[:, :-lag, 0]
    return X, y


SETTINGS = {
    "hidden_layer_sizes": (32,),
    "cell": "rnn",
    "readout": "each",
    "batch_size": 16,
    "random_state": 0,
}

regressors, chosen = {}, {}
for lag in (3, 20):
    X, y = make_lagged_noise(lag)
    regressors[lag], chosen[lag] = RNNRegressor(**SETTINGS, truncation="auto"), []
    for _ in range(N_EPOCHS):
        chosen[lag].append(regressors[lag].partial_fit(X, y).truncation_)
    print(
        f"lag {lag:2}: truncation_ every 10 epochs {chosen[lag][::10]}, loss "
        f"{regressors[lag].loss_:.4f}"
    )

assert np.median(chosen[3]) < 60 < np.median(chosen[20])
assert regressors[3].loss_ < 0.01
assert regressors[20].loss_ < 0.05

# %%
# At the start neither network has learned anything, and a few dozen steps are enough for both. Then the network with
# lag 20 learns to use the input of 20 steps before. Its gradients reach further back, so it needs more steps. The other
# network learns to use only the last steps.
#
# :func:`~sklearn_rnn.inspection.truncation_bias` checks these choices: it computes the truncated gradients and the full
# gradient. :class:`~sklearn_rnn.inspection.TruncationBiasDisplay` draws the bias.

fig, (above, below) = plt.subplots(2, 1, figsize=(7, 5.5), layout="constrained")
for color, (lag, regressor) in zip(("C0", "C1"), regressors.items()):
    X, y = make_lagged_noise(lag)
    above.step(
        np.arange(1, N_EPOCHS + 1),
        chosen[lag],
        where="mid",
        color=color,
        label=f"lag {lag}",
    )
    TruncationBiasDisplay.from_estimator(
        regressor,
        X,
        y,
        name=f"lag {lag}",
        quantities=["relative_bias"],
        ax=below,
        line_kw={"color": color},
    )
    below.axvline(regressor.truncation_, color=color, linestyle=":")
    at_choice = truncation_bias(regressor, X, y, [regressor.truncation_]).relative_bias[
        0
    ]
    print(
        f"lag {lag:2}: relative bias with truncation_={regressor.truncation_}: "
        f"{at_choice:.3f}"
    )
    assert at_choice < regressor.truncation_tolerance
below.axhline(0.5, color="black", linewidth=0.5)
above.set(xlabel="epoch", ylabel="truncation_ (steps)", yscale="log")
above.legend()
plt.show()

# %%
# The dotted lines are the choices. They are larger than necessary, because the bound adds the norms of the
# contributions of all steps, as if they had the same direction. With ``readout="each"`` and windows of h steps, losses
# flow back through 1 to h steps. So h must be much larger than the lag.
#
# Influence balancing
# -------------------
#
# A biased gradient can do more harm than slow training: it can have the wrong sign. Tallec and Ollivier [2]_ have such
# a task. It is a linear system of 23 units with one parameter :math:`\theta`,
#
# .. math::
#
#    s_{t+1} = A s_t + (\theta, \ldots, \theta, -\theta, \ldots, -\theta)^T,
#
# where A has 1/2 on its diagonal and 1/2 directly above it. So each unit depends on itself and on the next unit. The
# target of the first unit is 1. Here 10 units have :math:`+\theta` and 13 have :math:`-\theta`. After a few steps, the
# influence of :math:`\theta` on the first unit is positive, because it comes from the nearest units. The influence of
# the other units takes more steps, and it is larger.

N_UNITS, N_POSITIVE = 23, 10
signs = np.where(np.arange(N_UNITS) < N_POSITIVE, 1.0, -1.0)
A = 0.5 * (np.eye(N_UNITS) + np.eye(N_UNITS, k=1))

state, influence = np.zeros(N_UNITS), []
for _ in range(150):
    state = A @ state + signs
    influence.append(state[0])
theta_star = 1 / influence[-1]
print(
    f"influence of theta on the first unit: {influence[9]:.1f} after 10 steps, "
    f"{influence[-1]:.4f} in the end"
)

# %%
# This package can express the system as a network. The cell "rnn" with the identity as activation computes
# :math:`h_t = h_{t-1} U + x_t W`. States are rows here, so U is the transpose of A. The input is always 1, W is
# :math:`\theta` times the signs, and the output layer reads the first unit. We set the weights in place, through
# ``weights_``.
#
# The package does not know the parameter :math:`\theta`: it trains all weights. But the change of the weights shows the
# gradient. With plain gradient descent and a learning rate of 1, the change of W is the negative gradient. Its
# component in the direction of the signs is the negative gradient of :math:`\theta`. We change :math:`\theta` by this
# component, with our own learning rate, which decreases as one over the square root of time. Then we set all weights
# again.
#
# The system never ends, so we train it as a stream, with ``stateful=True``, in chunks of 500 steps. In the paper each
# step has a loss, and the weights change at every window. Here ``readout="mean"`` predicts from the mean of the first
# unit over the chunk. So each chunk has one update and one projection. In both cases errors enter at every step, and
# windows truncate them in the same way.

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
        normalize_y=False,
        random_state=seed,
    )
    return regressor.partial_fit(
        X, y
    ).reset_state()  # a first call makes the network; its weights are replaced


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
# Full backpropagation (within a chunk) converges to the solution. With windows of 10 steps, and even of 100 steps,
# :math:`\theta` moves away from the solution. With windows of random lengths, of 32 steps in the mean, it converges, on
# a different path for every seed.

runs = {
    "truncation=None": [thetas_of(make_balance(None))],
    "truncation=10": [thetas_of(make_balance(10))],
    "truncation=100": [thetas_of(make_balance(100))],
    'truncation="unbiased"': [
        thetas_of(make_balance("unbiased", 32, seed)) for seed in range(4)
    ],
}
errors = {name: np.abs(np.array(thetas) - theta_star) for name, thetas in runs.items()}
for name, of_seeds in errors.items():
    print(
        f"{name:22} |theta - theta*|: {of_seeds[0, 0]:.4f} at first, "
        f"{of_seeds[:, -1].max():.4f} in the end"
    )

assert errors["truncation=None"][0, -1] < 0.001
assert errors["truncation=10"][0, -1] > 100 * errors["truncation=10"][0, 0]
assert errors["truncation=100"][0, -1] > 2 * errors["truncation=100"][0, 0]
assert errors['truncation="unbiased"'][:, -1].max() < 0.01

# %%

fig, (above, below) = plt.subplots(2, 1, figsize=(7, 5.5), layout="constrained")
above.plot(np.arange(1, 151), influence)
above.axhline(0, color="black", linewidth=0.5)
above.set(
    xlabel="steps",
    title=r"influence of $\theta$ on the first unit",
    ylabel="d s / d theta",
)
for color, (name, of_seeds) in zip(("black", "C3", "C1", "C0"), errors.items()):
    for i, error in enumerate(of_seeds):
        below.semilogy(
            error, color=color, linewidth=1 if i else 2, label=None if i else name
        )
below.set(xlabel="updates", ylabel=r"$|\theta - \theta^*|$", ylim=(1e-5, 1e3))
below.legend(loc="upper left")
plt.show()

# %%
# 100 steps are enough for all influences to arrive. But the first losses of a window flow back through a few steps
# only. A stride that is smaller than the window would help (``truncation_stride``), at a higher cost.
#
# "Unbiased" means: the mean of the gradients over all draws is the gradient of full backpropagation *within the chunk*.
# No method can reach the steps before the chunk. For this reason the chunks here are long, compared with the 70 steps
# that the influences take. The disadvantage is the variance: errors that flow back far are multiplied by large factors.
# The decreasing learning rate averages the variance out. Clipping, and solvers that divide by the size of the gradient,
# bring back a bias, because they change the mean of the gradients.
#
# Which one to choose? Use full backpropagation if the computer's memory is sufficient (``memory_budget`` reduces the
# need). Use ``"auto"`` if the sequences are long, but the network probably needs to remember few steps. Use
# ``"unbiased"`` with a small learning rate if neither works. :doc:`/user_guide/long_sequences` describes all three.
#
# .. rubric:: References
#
# .. [1] C. Aicher, N. J. Foti and E. B. Fox (2019). Adaptively truncating backpropagation through time to
#        control gradient bias. UAI, PMLR 115, 799-808.
#
# .. [2] \C. Tallec and Y. Ollivier (2017). Unbiasing truncated backpropagation through time. arXiv:1705.08209.
