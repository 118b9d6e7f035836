"""
A target at every step, with truncated backpropagation
======================================================

Where is a noisy wave about to go? With ``readout="each"`` the network answers after every step, and every step has a
loss. That is where truncated backpropagation through time, BPTT(h; h') [1]_, comes into its own: the error of
each step flows back through at most ``truncation`` = h steps, and the weights are updated after every
``truncation_stride`` = h' steps, while the state is carried on to the end of the sequence.
"""

# %%
# Every sequence is a sine wave of its own amplitude, frequency and phase, seen under noise. The target at step t is the
# value that the wave, without the noise, will have at step t + 1. The sequences are cut to different lengths: X and
# y become lists of arrays.

import math

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor
from sklearn_rnn.datasets import make_noisy_sines

X, y = make_noisy_sines(400, n_steps=200, readout="each", random_state=0)
lengths = np.random.RandomState(0).randint(100, 201, size=len(X))
X = [sequence[:length] for sequence, length in zip(X, lengths)]
y = [targets[:length] for targets, length in zip(y, lengths)]
X_train, y_train, X_test, y_test = X[:300], y[:300], X[300:], y[300:]
print(f"{len(X_train)} training sequences; X[0] {X_train[0].shape}, y[0] {y_train[0].shape}, X[1] {X_train[1].shape}")

# %%
# Three ways to train
# -------------------
#
# Full BPTT makes one update for each batch. BPTT(20; 20) cuts the sequences of a batch into windows of 20
# steps and updates after each; the first loss of a window flows back through a single step. BPTT(20; 10) updates
# after every 10 steps and lets their losses flow back through the last 20: each of them through 11 steps at least
# (or to the first step), at the price that nearly every step is run twice.

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
        learning_rate="cosine",
        max_iter=N_EPOCHS,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    regressor.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    n_batches = math.ceil(len(X_train) / BATCH_SIZE)
    windows = 1 if stride is None else math.ceil(200 / stride)
    regressors[name], curves[name] = regressor, 2 * np.array(regressor.validation_loss_curve_)
    print(
        f"{name:12}  at most {n_batches * windows:3d} updates an epoch; after {N_EPOCHS} epochs: test mean squared "
        f"error {curves[name][-1]:.4f}, R^2 {regressor.score(X_test, y_test):.4f}",
        flush=True,
    )

# %%
# The baselines, over the same steps: always predicting 0, and predicting that the next value is the one just seen.

targets, seen = np.concatenate(y_test), np.concatenate(X_test)[:, 0]
print(f"always 0      mean squared error {np.mean(targets**2):.4f}")
print(f"last value    mean squared error {np.mean((targets - seen) ** 2):.4f}")

# %%

fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
for name, curve in curves.items():
    ax.semilogy(np.arange(1, N_EPOCHS + 1), curve, marker=".", label=name)
ax.set(xlabel="epoch", ylabel="mean squared error (test)")
ax.legend()
plt.show()

# %%
# Truncation learns more from an epoch here, as it updates the weights more often. On a task that needs memory over more
# than h steps it can fail where full BPTT succeeds: nothing tells the network to keep what an error more than h
# steps later would have asked for.
#
# Predictions
# -----------
#
# They come back in the form of X: a list with one array per sequence. A prediction at step t uses the steps up
# to t only, so the first ones are guesses.

regressor = regressors["BPTT(20; 10)"]
predictions = regressor.predict(X_test)
fig, axes = plt.subplots(2, 1, figsize=(8, 5), layout="constrained")
for ax, i in zip(axes, (0, 1)):
    steps = np.arange(1, len(X_test[i]) + 1)
    ax.plot(steps - 1, X_test[i][:, 0], ".", color="lightgray", label="seen, with noise")
    ax.plot(steps, y_test[i], color="black", linewidth=1, label="wave")
    ax.plot(steps, predictions[i], color="C1", label="predicted one step ahead")
    ax.set(xlabel="step", xlim=(0, 100))
axes[0].legend(loc="upper right", ncols=3)
plt.show()

# %%
# The error at each step, the mean over the test sequences (all of them have at least 100 steps): it falls
# while the network finds the phase and the frequency of the wave.

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
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
