"""
Streams without end
===================

Some data do not come as sequences of so many steps: a sensor sends a value every second, for years. With
``stateful=True`` the network is trained on such streams as they come, chunk by chunk: each call of ``partial_fit``
goes on from the state in which the call before left each stream. Memory does not grow, and a pickle goes on where the
original stands. And :meth:`~sklearn_rnn.RNNRegressor.stream` predicts in the same manner: a step at a time, each step
at the same cost.
"""

# %%
# Tanks that fill and drain
# -------------------------
#
# Eight tanks, side by side. A valve opens on the command 1 and closes on the command -1, which come rarely, at random;
# while it is open the level rises towards 1, while it is closed it falls towards 0. We see the commands and a
# reading of the level under heavy noise, and ask for the level. Now and then a tank is replaced by a new one, empty
# and closed.
#
# The generator never ends. It gives chunks of 40 steps, with a mask of those streams that begin anew.

import pickle
import tracemalloc
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor

N_TANKS, CHUNK, TIME_CONSTANT = 8, 40, 30


def make_tanks(seed):
    generator = np.random.default_rng(seed)
    is_open, level = np.zeros(N_TANKS, bool), np.zeros(N_TANKS)
    while True:
        is_new = generator.uniform(size=N_TANKS) < 0.02
        is_open[is_new], level[is_new] = False, 0
        X, y = np.zeros((N_TANKS, CHUNK, 2)), np.zeros((N_TANKS, CHUNK))
        for t in range(CHUNK):
            is_command = generator.uniform(size=N_TANKS) < 1 / 60
            is_open ^= is_command
            level += (is_open - level) / TIME_CONSTANT
            X[:, t, 0] = np.where(is_command, np.where(is_open, 1, -1), 0)
            X[:, t, 1] = level + generator.normal(scale=0.5, size=N_TANKS)
            y[:, t] = level
        yield X, y, is_new


X, y, is_new = next(make_tanks(0))
print(f"a chunk: X {X.shape}, y {y.shape}; {is_new.sum()} of {N_TANKS} streams begin anew")

# %%
# Training
# --------
#
# ``readout="each"``: every step has a target. ``truncation=20`` cuts each chunk into two windows, with an update after
# each; errors flow back through 20 steps at the most, and the state is carried on through windows and chunks. The
# second network is the same but for ``stateful``: it begins every chunk from nothing.
#
# Does memory grow? We measure twice, at the beginning and at the end: what a call needs (as ``tracemalloc`` has it: the
# most that Python and NumPy took meanwhile), and what the estimator holds (the size of its pickle).

SETTINGS = {"hidden_layer_sizes": (16,), "readout": "each", "truncation": 20, "random_state": 0}
N_CHUNKS = 1500

tanks = make_tanks(seed=0)
carried, forgetful = RNNRegressor(**SETTINGS, stateful=True), RNNRegressor(**SETTINGS)


def train(n_chunks):
    for X, y, is_new in islice(tanks, n_chunks):
        carried.partial_fit(X, y, new_sequence=is_new)
        forgetful.partial_fit(X, y)


def measure():
    tracemalloc.start()
    train(1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    held = len(pickle.dumps(carried))
    print(
        f"after {carried.n_iter_ * CHUNK:6,} steps of each stream: a call {peak / 1e3:.0f} kB, held {held / 1e3:.0f} kB"
    )
    return peak, held


train(100)
peak_at_first, held_at_first = measure()
train(N_CHUNKS - carried.n_iter_ - 1)
peak, held = measure()
assert peak < 1.2 * peak_at_first
assert held < held_at_first + 30 * N_CHUNKS

# %%
# What little has been added are the figures of each call, as ``loss_curve_`` has them: two floats a call, in lists that
# keep those of the last 10,000 calls. From then on nothing grows any more.
#
# Every chunk is new to the networks: the loss, taken before they learn from it, is that on data not seen before.

assert np.mean(carried.loss_curve_[-100:]) < 0.5 * np.mean(forgetful.loss_curve_[-100:])

fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
for name, regressor in (("state carried", carried), ("every chunk from nothing", forgetful)):
    means = np.mean(np.reshape(regressor.loss_curve_, (-1, 25)), axis=1)
    ax.semilogy(25 * CHUNK * np.arange(1, len(means) + 1), means, label=name)
ax.set(xlabel="steps of each stream", ylabel="loss (mean of 25 chunks)")
ax.legend()
plt.show()

# %%
# Commands are some 60 steps apart. Whether a valve is open a chunk of 40 steps often does not tell; the state does.
#
# A pickle in the middle
# ----------------------
#
# Weights, the optimizer's moments, the random numbers and the carried state are all in it. What is loaded goes on
# as the original does, to the last bit. A program that writes a pickle after each chunk can be killed at any time.

copy = pickle.loads(pickle.dumps(carried))
for X, y, is_new in islice(tanks, 20):
    carried.partial_fit(X, y, new_sequence=is_new)
    copy.partial_fit(X, y, new_sequence=is_new)

assert copy.loss_curve_ == carried.loss_curve_
for name, weights in carried.weights_.items():
    assert np.array_equal(copy.weights_[name], weights)

# %%
# Predictions, a step at a time
# -----------------------------
#
# Other tanks, which begin now: a stream of predictions begins with them. ``step`` takes the next step of each
# and gives a prediction for each. That a tank is replaced, ``reset`` tells it.

stream = carried.stream(N_TANKS)
parts = []
for X, y, is_new in islice(make_tanks(seed=1), 10):
    stream.reset(is_new)
    predicted = np.column_stack([stream.step(X[:, t]) for t in range(CHUNK)])
    parts.append((X, y, predicted, is_new))

X, y, predicted = (np.concatenate(values, axis=1) for values in list(zip(*parts))[:3])
print(
    f"mean squared error: readings {np.mean((X[..., 1] - y) ** 2):.3f}, predicted {np.mean((predicted - y) ** 2):.5f}"
)

# %%
# They are what ``predict`` gives for the whole sequences. (Those of tanks that were not replaced: ``predict`` begins a
# sequence but once.) With the compiled kernels even the bits are the same; on NumPy alone, last bits may differ.

stays = ~np.any([is_new for *_, is_new in parts[1:]], axis=0)
np.testing.assert_allclose(predicted[stays], carried.predict(X[stays]), rtol=0, atol=1e-12)

tank = np.flatnonzero(stays)[0]
steps = np.arange(X.shape[1])
fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
ax.plot(steps, X[tank, :, 1], ".", color="lightgray", label="reading")
ax.plot(steps, y[tank], color="black", label="level")
ax.plot(steps, predicted[tank], color="C1", label="predicted, step by step")
for t in np.flatnonzero(X[tank, :, 0]):
    ax.axvline(t, color="C0" if X[tank, t, 0] > 0 else "C3", linestyle=":", linewidth=1)
ax.set(xlabel="step", ylim=(-0.6, 1.6), title="blue lines: the valve opens; red ones: it closes")
ax.legend(loc="upper right", ncols=3)
plt.show()

# %%
# What exactly is carried from chunk to chunk, and what is cut, is told in
# :doc:`/user_guide/long_sequences`.
