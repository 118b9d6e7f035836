"""
Streams without end
===================

Some sequences have no end: a sensor sends a value every second, for years. With ``stateful=True`` a network trains on
such streams while the data arrive, chunk by chunk. Each call of ``partial_fit`` continues from the state of each stream
at the end of the previous call. Memory does not grow. A pickle continues from the current state.
:meth:`~sklearn_rnn.RNNRegressor.stream` predicts on streams: one step at a time, each step at the same cost.
"""

# %%
# Tanks that fill and drain
# -------------------------
#
# There are eight tanks. A valve opens at the command 1 and closes at the command -1. Commands are rare and come at
# random. While the valve is open, the level rises towards 1. While it is closed, the level falls towards 0. The
# features are the commands and a reading of the level with strong noise. The target is the level. From time to time a
# new tank, empty and closed, replaces a tank.
#
# The generator never ends. It yields chunks of 40 steps, with a mask of the streams that start again.

import pickle
import tracemalloc
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor

plt.rc("font", size=13)

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
print(
    f"a chunk: X {X.shape}, y {y.shape}; {is_new.sum()} of {N_TANKS} streams start "
    "again"
)

# %%
# Training
# --------
#
# With ``readout="each"`` every step has a target. ``truncation=20`` divides each chunk into two windows, with an update
# after each window. Errors flow back through at most 20 steps. The state continues through windows and chunks. The
# second network has the same parameters, but without ``stateful``: it starts every chunk without a state.
#
# A regressor normalises its targets by the mean and the spread of the first chunk. Here all tanks start empty, so the
# first chunk does not show the spread of later levels. But we know that levels are between 0 and 1, which a network can
# learn as they are: ``normalize_y=False``.
#
# The default schedule of the learning rate ends with ``max_iter`` in ``fit``. On a stream there is no end, so
# ``partial_fit`` keeps the rate. Here the rate shall decrease with the number of chunks: ``"invscaling"``.
#
# Does memory grow? We measure it at the beginning and at the end. ``tracemalloc`` measures the peak memory of Python
# and NumPy during a call. The size of the pickle measures the memory of the estimator.

SETTINGS = {
    "hidden_layer_sizes": (16,),
    "readout": "each",
    "truncation": 20,
    "normalize_y": False,
    "learning_rate": "invscaling",
    "learning_rate_init": 0.02,
    "power_t": 0.3,
    "random_state": 0,
}
N_CHUNKS = 900

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
        f"after {carried.n_iter_ * CHUNK:6,} steps of each stream: peak of a call "
        f"{peak / 1e3:.0f} kB, "
        f"pickle {held / 1e3:.0f} kB"
    )
    return peak, held


train(100)
peak_at_first, held_at_first = measure()
train(N_CHUNKS - carried.n_iter_ - 1)
peak, held = measure()
assert peak < 1.2 * peak_at_first
assert held < held_at_first + 40 * N_CHUNKS

# %%
# The small increase comes from the records of each call, such as ``loss_curve_``: four floats per call. The lists keep
# the last 10,000 calls, so after that nothing grows.
#
# Every chunk is new to the networks. Its loss is computed before they learn from it, so it is a loss on unseen data.

assert np.mean(carried.loss_curve_[-100:]) < 0.5 * np.mean(forgetful.loss_curve_[-100:])

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, regressor in (("state carried", carried), ("no state carried", forgetful)):
    means = np.mean(np.reshape(regressor.loss_curve_, (-1, 25)), axis=1)
    ax.semilogy(25 * CHUNK * np.arange(1, len(means) + 1), means, label=name)
ax.set(xlabel="steps of each stream", ylabel="loss (mean of 25 chunks)")
ax.legend()
plt.show()

# %%
# The mean distance between two commands is 60 steps. So a chunk of 40 steps often does not show whether a valve is
# open. The carried state does.
#
# A pickle in the middle
# ----------------------
#
# A pickle contains the weights, the optimizer's moments, the random numbers and the carried state. The loaded estimator
# continues with the same bits as the original. A program that writes a pickle after each chunk can be killed at any
# time.

copy = pickle.loads(pickle.dumps(carried))
for X, y, is_new in islice(tanks, 20):
    carried.partial_fit(X, y, new_sequence=is_new)
    copy.partial_fit(X, y, new_sequence=is_new)

assert copy.loss_curve_ == carried.loss_curve_
for name, weights in carried.weights_.items():
    assert np.array_equal(copy.weights_[name], weights)

# %%
# Predictions, one step at a time
# -------------------------------
#
# We start eight other tanks, and a stream of predictions with them. ``step`` takes the next step of each tank, and
# returns a prediction for each. ``reset`` resets the state of the tanks that are replaced.

stream = carried.stream(N_TANKS)
parts = []
for X, y, is_new in islice(make_tanks(seed=1), 10):
    stream.reset(is_new)
    predicted = np.column_stack([stream.step(X[:, t]) for t in range(CHUNK)])
    parts.append((X, y, predicted, is_new))

X, y, predicted = (np.concatenate(values, axis=1) for values in list(zip(*parts))[:3])
print(
    f"mean squared error: readings {np.mean((X[..., 1] - y) ** 2):.3f}, predicted "
    f"{np.mean((predicted - y) ** 2):.5f}"
)

# %%
# ``predict`` gives the same predictions for the whole sequences. (We compare the tanks that were not replaced, because
# ``predict`` starts each sequence only once.) With the compiled kernels even the bits are the same. On NumPy alone, the
# last bits may differ.

stays = ~np.any([is_new for *_, is_new in parts[1:]], axis=0)
np.testing.assert_allclose(
    predicted[stays], carried.predict(X[stays]), rtol=0, atol=1e-12
)

tank = np.flatnonzero(stays)[0]
steps = np.arange(X.shape[1])
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(steps, X[tank, :, 1], ".", color="lightgray", label="reading")
ax.plot(steps, y[tank], color="black", label="level")
ax.plot(steps, predicted[tank], color="C1", label="predicted, step by step")
for t in np.flatnonzero(X[tank, :, 0]):
    ax.axvline(t, color="C0" if X[tank, t, 0] > 0 else "C3", linestyle=":", linewidth=1)
ax.set(
    xlabel="step",
    ylim=(-0.6, 1.6),
    title="blue lines: the valve opens; red ones: it closes",
)
ax.legend(loc="upper right", ncols=3)
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# :doc:`/user_guide/long_sequences` describes exactly how the state continues from chunk to chunk, and where the
# gradient stops.
