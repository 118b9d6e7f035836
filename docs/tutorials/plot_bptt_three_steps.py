r"""
Backpropagation through time on three steps
===========================================

A recurrent network learns in three stages. It runs over the sequence, measures the loss, and carries the error back
through the steps in reverse order. This is backpropagation through time (BPTT). This page uses the smallest network
that shows everything: one input feature, one unit, three steps. So every quantity is a single number. All numbers are
computed when the page is built. Two checks compare them with finite differences and with
:class:`~sklearn_rnn.RNNRegressor`.
"""

# %%
# The network
# -----------
#
# The network is Elman's simple cell (``cell="rnn"``) with :math:`\tanh`, and a linear output from the last state
# (``readout="last"``):
#
# .. math::
#
#    a_t = x_t W + h_{t-1} U + b, \qquad h_t = \tanh(a_t), \qquad \hat{y} = h_3 V + c, \qquad h_0 = 0.
#
# The loss is half the squared error, :math:`L = \tfrac{1}{2} (\hat{y} - y)^2`.
#
# Vectors are rows, as everywhere in this package: :math:`x_t` is (1, features), :math:`h_t` is (1, units),
# W is (features, units) and U is (units, units). Here all of them are 1 by 1.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor

x = np.array([[0.5], [-1.0], [0.8]])  # (steps, features)
y = 1.0
weights = {
    "W": np.array([[0.7]]),
    "U": np.array([[0.9]]),
    "b": np.array([0.1]),
    "V": np.array([[1.2]]),
    "c": np.array([-0.3]),
}

# %%
# Forward
# -------
#
# The forward pass runs step by step. It keeps all states, because the backward pass needs them. They are called the
# *tape*.


def forward(x, weights):
    """States h_0 to h_T, of shape (steps + 1, units), and the output."""
    h = np.zeros((len(x) + 1, len(weights["b"])))
    for t in range(1, len(x) + 1):
        h[t] = np.tanh(x[t - 1] @ weights["W"] + h[t - 1] @ weights["U"] + weights["b"])
    return h, h[-1] @ weights["V"] + weights["c"]


def loss(x, y, weights):
    return 0.5 * np.sum((forward(x, weights)[1] - y) ** 2)


h, output = forward(x, weights)
print("t      x_t      a_t      h_t")
for t in range(1, 4):
    print(f"{t} {x[t - 1, 0]:8.4f} {np.arctanh(h[t, 0]):8.4f} {h[t, 0]:8.4f}")
print(f"output {output[0]:.4f}, target {y:.4f}, loss {loss(x, y, weights):.4f}")

# %%
# Backward
# --------
#
# All steps share the weights: W, U and b acted three times. The error of step t is
# :math:`\delta_t = \partial L / \partial a_t`. The loss depends on the last state directly,
# :math:`\partial L / \partial h_3 = (\hat{y} - y) V^\top`. It depends on an earlier state only through the next step,
# :math:`a_{t+1} = \ldots + h_t U`. With :math:`\tanh'(a_t) = 1 - h_t^2` this gives a recursion that runs back in time:
#
# .. math::
#
#    \delta_3 = (\hat{y} - y) V^\top (1 - h_3^2), \qquad \delta_t = \delta_{t+1} U^\top (1 - h_t^2), \quad t = 2, 1.
#
# Then every step adds its contribution to the gradient of the weights:
#
# .. math::
#
#    \frac{\partial L}{\partial U} = \sum_t h_{t-1}^\top \delta_t, \qquad
#    \frac{\partial L}{\partial W} = \sum_t x_t^\top \delta_t, \qquad
#    \frac{\partial L}{\partial b} = \sum_t \delta_t.
#
# (A loss at each step, ``readout="each"``, changes one thing: the error of that step's own output is added to
# :math:`\delta_{t+1} U^\top` before the factor :math:`1 - h_t^2`.)


def backward(x, y, weights, truncation=None):
    """Errors delta_1 to delta_T and the contributions of each step to dL/dU, dL/dW,
    dL/db; the gradient.

    With ``truncation=k`` the error flows back through the last k steps only.
    """
    h, output = forward(x, weights)
    n_steps = len(x)
    first = 1 if truncation is None else max(1, n_steps - truncation + 1)
    delta = np.zeros((n_steps + 1, len(weights["b"])))  # row t is delta_t
    d_output = output - y
    d_h = d_output @ weights["V"].T
    for t in range(n_steps, first - 1, -1):
        delta[t] = d_h * (1 - h[t] ** 2)
        d_h = delta[t] @ weights["U"].T
    shares = {
        "U": np.array([np.outer(h[t - 1], delta[t]) for t in range(1, n_steps + 1)]),
        "W": np.array([np.outer(x[t - 1], delta[t]) for t in range(1, n_steps + 1)]),
        "b": delta[1:],
    }
    gradient = {name: share.sum(axis=0) for name, share in shares.items()}
    gradient["V"] = np.outer(h[-1], d_output)
    gradient["c"] = d_output
    return delta, shares, gradient


def print_shares(delta, shares, gradient):
    print("t   delta_t    to dL/dU   to dL/dW   to dL/db")
    for t in range(3, 0, -1):
        contributions = [
            shares[name][t - 1].item() + 0.0 for name in "UWb"
        ]  # + 0.0: no -0
        print(
            f"{t} {delta[t, 0]:9.5f}   " + "  ".join(f"{c:9.5f}" for c in contributions)
        )
    print(
        "sum           " + "  ".join(f"{gradient[name].item():9.5f}" for name in "UWb")
    )


delta, shares, gradient = backward(x, y, weights)
print_shares(delta, shares, gradient)

# %%
# The first step contributes nothing to :math:`\partial L / \partial U`, because :math:`h_0 = 0`. The errors become
# smaller on their way back. At each step they are multiplied by the factor :math:`U (1 - h_t^2)`. If this factor stays
# below 1 over many steps, the gradient vanishes. If it stays above 1, the gradient explodes.

factors = [(weights["U"] * (1 - h[t] ** 2)).item() for t in (2, 1)]
print(f"delta_2 / delta_3 = {factors[0]:.4f}, delta_1 / delta_2 = {factors[1]:.4f}")

# %%
# Check: finite differences
# -------------------------
#
# We can *measure* a gradient without any of these formulas: move one weight a little in both directions, and compute
# the change of the loss.


def finite_difference(x, y, weights, name, step=1e-6):
    """(L(w + step) - L(w - step)) / (2 step) for every component of one weight."""
    result = np.empty_like(weights[name])
    for index in np.ndindex(result.shape):
        moved = {sign: {k: v.copy() for k, v in weights.items()} for sign in (1, -1)}
        for sign in (1, -1):
            moved[sign][name][index] += sign * step
        result[index] = (loss(x, y, moved[1]) - loss(x, y, moved[-1])) / (2 * step)
    return result


print("        BPTT          finite difference")
for name in weights:
    measured = finite_difference(x, y, weights, name)
    np.testing.assert_allclose(gradient[name], measured, rtol=1e-7, atol=1e-9)
    print(f"dL/d{name} {gradient[name].item():12.8f} {measured.item():12.8f}")

# %%
# Check: the package
# ------------------
#
# ``weights_`` are live views of a fitted estimator's parameters: an assignment in place loads weights. A first
# ``partial_fit`` makes the network. Then we load the weights above, and a second ``partial_fit`` makes one update. With
# plain gradient descent (``solver="sgd"`` with ``momentum=0``), without penalty and clipping, the update is
# :math:`w \leftarrow w - \eta \, \partial L / \partial w`. So the change of the weights shows the gradient.

LEARNING_RATE = 0.1
NAMES = {
    "W": "layer_0.input",
    "U": "layer_0.recurrent",
    "b": "layer_0.bias",
    "V": "readout.weight",
    "c": "readout.bias",
}


def one_update(x, y, weights, **parameters):
    """An estimator after one update from the given weights, and how each of them
    changed."""
    settings = {"clip_norm": None, **parameters}
    estimator = RNNRegressor(
        hidden_layer_sizes=len(weights["b"]),
        cell="rnn",
        bidirectional=False,
        readout="last",
        solver="sgd",
        momentum=0,
        learning_rate_init=LEARNING_RATE,
        alpha=0,
        normalize_y=False,  # the loss above is in the units of y
        **settings,
    )
    estimator.partial_fit([x], [y])
    for name, value in weights.items():
        estimator.weights_[NAMES[name]][...] = value
    estimator.partial_fit([x], [y])
    return estimator, {
        name: estimator.weights_[NAMES[name]] - value for name, value in weights.items()
    }


def print_comparison(change, gradient):
    print("    change of the weight    -learning rate x gradient")
    for name in weights:
        np.testing.assert_allclose(
            change[name], -LEARNING_RATE * gradient[name], rtol=1e-9, atol=1e-12
        )
        print(
            f"{name}   {change[name].item():16.8f} "
            f"{-LEARNING_RATE * gradient[name].item():24.8f}"
        )


estimator, change = one_update(x, y, weights)
print_comparison(change, gradient)

# %%
# The update decreased the loss:

updated = {name: estimator.weights_[NAMES[name]] for name in weights}
print(
    f"loss before the update {loss(x, y, weights):.5f}, after it "
    f"{loss(x, y, updated):.5f}"
)

# %%
# Truncation: the same with ``truncation=2``
# ------------------------------------------
#
# Truncated BPTT carries the error back through the last two steps and stops there. The forward pass is the same, and so
# are :math:`\delta_3` and :math:`\delta_2`. But :math:`\delta_1` is 0, and so are all contributions of step 1. The
# state :math:`h_1` is still a number in step 2's contribution to :math:`\partial L / \partial U`. But its dependence on
# the weights is ignored.

delta_2, shares_2, gradient_2 = backward(x, y, weights, truncation=2)
print_shares(delta_2, shares_2, gradient_2)

# %%
# The package agrees:

_, change_2 = one_update(x, y, weights, truncation=2)
print_comparison(change_2, gradient_2)

# %%
# The truncated gradient is an approximation. It needs less work and memory on long sequences: only two steps need a
# tape. The contributions of step 1 to the gradients of W and b are missing (and those of U, if :math:`h_0` were not
# zero):

fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.8), sharey=True, layout="constrained")
steps = np.arange(1, 4)
for ax, name in zip(axes, "UWb"):
    ax.bar(steps - 0.2, shares[name].ravel(), width=0.38, label="full BPTT")
    ax.bar(steps + 0.2, shares_2[name].ravel(), width=0.38, label="truncation=2")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(title=rf"$\partial L\,/\,\partial {name}$", xlabel="step", xticks=steps)
axes[0].set_ylabel("contribution")
axes[0].legend()
plt.show()

# %%
# Clipping: the same with ``clip_norm``
# -------------------------------------
#
# ``clip_norm`` limits the Euclidean norm of the whole gradient, over all parameters together. If the norm is larger,
# the gradient is rescaled: the direction stays, and the norm becomes ``clip_norm``. This is the usual remedy for
# exploding gradients.

CLIP_NORM = 0.5
norm = np.sqrt(sum(np.sum(g**2) for g in gradient.values()))
clipped = {name: g * min(1.0, CLIP_NORM / norm) for name, g in gradient.items()}
print(
    f"norm of the gradient {norm:.5f}, clip_norm {CLIP_NORM}: all components times "
    f"{CLIP_NORM / norm:.5f}"
)

estimator, change = one_update(x, y, weights, clip_norm=CLIP_NORM)
print_comparison(change, clipped)

# %%
# The estimator records the norms before clipping:

np.testing.assert_allclose(estimator.gradient_norms_[-1], norm, rtol=1e-9)
print(f"gradient_norms_[-1] = {estimator.gradient_norms_[-1]:.5f}")

# %%
# More units, more features
# -------------------------
#
# ``forward`` and ``backward`` above use matrices, so they work for any sizes. With two units and three features, the
# transposes and outer products matter too:

rng = np.random.default_rng(0)
x_3 = rng.normal(size=(3, 3))
weights_2 = {
    "W": rng.normal(size=(3, 2)),
    "U": rng.normal(size=(2, 2)),
    "b": rng.normal(size=2),
    "V": rng.normal(size=(2, 1)),
    "c": rng.normal(size=1),
}
for truncation in (None, 2, 1):
    _, _, expected = backward(x_3, y, weights_2, truncation)
    _, change = one_update(x_3, y, weights_2, truncation=truncation)
    for name in weights_2:
        np.testing.assert_allclose(
            change[name], -LEARNING_RATE * expected[name], rtol=1e-9, atol=1e-12
        )
    print(
        f"truncation={truncation}: dL/dW by rows",
        *[np.array2string(row, precision=4) for row in expected["W"]],
    )

# %%
# Further reading
# ---------------
#
# * :doc:`/user_guide/training` describes exactly the truncation for each readout, and the normalisation of the losses.
# * :doc:`/auto_examples/plot_label_every_step` trains with a loss at each step and truncation.
#
# .. rubric:: References
#
# P. J. Werbos, "Backpropagation through time: what it does and how to do it", Proceedings of the IEEE 78 (1990),
# 1550-1560.
#
# R. J. Williams and J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
# trajectories", Neural Computation 2 (1990), 490-501.
#
# \R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
