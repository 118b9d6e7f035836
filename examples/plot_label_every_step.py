"""
A target at every step, with truncated backpropagation
======================================================

The task is to predict the next value of a noisy wave. With ``readout="each"`` the network predicts at every step, and
every step has a loss. Truncated backpropagation through time, BPTT(h; h') [1]_, is most useful for such tasks. The
error of each step flows back through at most ``truncation`` = h steps. The weights are updated after every
``truncation_stride`` = h' steps. The state continues to the end of the sequence.
"""

# %%
# Every sequence is a noisy sine wave with its own amplitude, frequency and phase. The target at step t is the value of
# the wave, without noise, at step t + 1. We cut the sequences to different lengths: X and y become lists of arrays.

import math

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor
from sklearn_rnn.datasets import make_noisy_sines
from sklearn_rnn.inspection import StepPredictionDisplay

plt.rc("font", size=13)

X, y = make_noisy_sines(400, n_steps=200, readout="each", random_state=0)
lengths = np.random.RandomState(0).randint(100, 201, size=len(X))
X = [sequence[:length] for sequence, length in zip(X, lengths)]
y = [targets[:length] for targets, length in zip(y, lengths)]
X_train, y_train, X_test, y_test = X[:300], y[:300], X[300:], y[300:]
print(
    f"{len(X_train)} training sequences; X[0] {X_train[0].shape}, y[0] "
    f"{y_train[0].shape}, X[1] {X_train[1].shape}"
)

# %%
# Three ways to train
# -------------------
#
# Full BPTT makes one update for each batch. BPTT(20; 20) divides the sequences of a batch into windows of 20 steps,
# with an update after each window. The first loss of a window flows back through one step only. BPTT(20; 10) makes an
# update after every 10 steps, and their losses flow back through the last 20 steps. So each loss flows back through at
# least 11 steps (or to the first step). The cost: almost every step runs twice.

BATCH_SIZE, N_EPOCHS = 32, 12
regressors, curves = {}, {}
for truncation, stride in ((None, None), (20, 20), (20, 10)):
    name = "full BPTT" if truncation is None else f"BPTT({truncation}; {stride})"
    regressor = RNNRegressor(
        hidden_layer_sizes=(32,),
        readout="each",
        truncation=truncation,
        truncation_stride=stride,
        batch_size=BATCH_SIZE,
        learning_rate_init=0.01,
        max_iter=N_EPOCHS,
        random_state=0,
    )
    regressor.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    n_batches = math.ceil(len(X_train) / BATCH_SIZE)
    windows = 1 if stride is None else math.ceil(200 / stride)
    regressors[name] = regressor
    # The loss is half the squared error, in units of the targets' spread.
    curves[name] = (
        2 * regressor.target_scale_**2 * np.array(regressor.validation_loss_curve_)
    )
    print(
        f"{name:12}  at most {n_batches * windows:3d} updates an epoch; after "
        f"{N_EPOCHS} epochs: test mean squared "
        f"error {curves[name][-1]:.4f}, R^2 {regressor.score(X_test, y_test):.4f}",
        flush=True,
    )

# %%
# There are two baselines, for the same steps: predict 0 always, or predict the last noisy value.

targets, seen = np.concatenate(y_test), np.concatenate(X_test)[:, 0]
print(f"always 0      mean squared error {np.mean(targets**2):.4f}")
print(f"last value    mean squared error {np.mean((targets - seen) ** 2):.4f}")

# %%

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, curve in curves.items():
    ax.semilogy(np.arange(1, N_EPOCHS + 1), curve, marker=".", label=name)
ax.set(xlabel="epoch", ylabel="mean squared error (test)")
ax.legend()
plt.show()

# %%
# Here, training with truncation learns more from an epoch, because it updates the weights more often. If a network must
# remember more than h steps, truncation can fail where full BPTT succeeds: no gradient tells the network to remember
# information for more than h steps.
#
# Predictions
# -----------
#
# The predictions have the form of X: a list with one array per sequence. A prediction at step t uses only the steps up
# to t. So the first predictions are guesses. The gray points are the noisy values, one step earlier than the wave that
# they have to predict.

fig, axes = plt.subplots(2, 1, figsize=(7, 5), layout="constrained")
for ax, i in zip(axes, (0, 1)):
    ax.plot(
        np.arange(len(X_test[i])) - 1,
        X_test[i][:, 0],
        ".",
        color="lightgray",
        label="noisy",
    )
    StepPredictionDisplay.from_estimator(
        regressors["BPTT(20; 10)"], X_test, y_test, index=i, ax=ax
    )
    ax.set_xlim(0, 100)
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# This figure has the error at each step, as a mean over the test sequences. (All of them have at least 100 steps.) The
# error decreases while the network finds the phase and the frequency of the wave.

fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for name, other in regressors.items():
    squared = [(p[:100] - t[:100]) ** 2 for p, t in zip(other.predict(X_test), y_test)]
    ax.semilogy(np.mean(squared, axis=0), label=name)
ax.set(xlabel="step", ylabel="mean squared error (test)")
ax.legend()
plt.show()

# %%
# .. rubric:: References
#
# .. [1] R. J. Williams and J. Peng (1990). An efficient gradient-based algorithm for on-line training of recurrent
#    network trajectories. Neural Computation 2, 490-501.
