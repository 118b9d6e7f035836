"""
How long will this pump last?
=============================

A pump wears out. If it is replaced in time, that costs 3,000 euros; if it breaks down in operation, 20,000. So it pays
to replace a pump shortly before its end, if only one knew it. Here a network reads the sensors of pumps that ran until
they failed, and predicts the cycles that are left. From its predictions comes a rule: replace the pump now, or run on.
"""

# %%
# Pumps that ran until they failed
# --------------------------------
#
# The simulator is small, so that one can see what it does. In each cycle a pump wears by the third power of its load,
# and weak pumps wear faster. The load stays the same for some cycles, then it changes. The wear cannot be measured. It
# shows in the vibration, but little at first, and the load shows there too. At a wear of 1 the pump fails.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from sklearn_rnn import RNNRegressor

plt.rc("font", size=15)

PLANNED, BREAKDOWN = 3_000, 20_000  # euros
LONGEST = 80  # cycles
rng = np.random.default_rng(0)


def life_of_a_pump():
    """Return load, vibration and temperature of each cycle, from the first to the
    failure."""
    strength, load, wear, cycles = rng.lognormal(0, 0.15), rng.uniform(0.4, 1.6), 0, []
    while wear < 1:
        if rng.random() < 0.08:
            load = rng.uniform(0.4, 1.6)
        wear += load**3 / (160 * strength) * rng.lognormal(0, 0.3)
        vibration = 1 + load * (0.5 + 1.2 * wear**2) + rng.normal(scale=0.3)
        cycles.append((load, vibration, 40 + 12 * load + rng.normal(scale=2)))
    return np.array(cycles)


X = [life_of_a_pump() for _ in range(300)]
lives = np.array([len(x) for x in X])
print(
    f"{len(X)} pumps; they lasted {lives.min()} to {lives.max()} cycles, "
    f"{lives.mean():.0f} in the mean"
)

# %%
# Every cycle has a target: the cycles that are left after it. A pump that is far from its end looks like a new one. So
# we count no further than 80: the network need not learn what it cannot know, and what nobody asks.
#
# 150 pumps are for training, 50 to choose a rule, and 100 to find out what the rule costs.

y = [np.minimum(np.arange(len(x))[::-1], LONGEST).astype(float) for x in X]
train, choose, test = slice(150), slice(150, 200), slice(200, 300)

# %%
# A network, and a rival
# ----------------------
#
# ``readout="each"`` predicts at each step, from the steps up to it. The network keeps its own account of the wear. The
# rival is gradient boosting on a table with a row for each cycle. The row has the age of the pump, the readings, and
# their means over 5 cycles, over 20 cycles, and over the whole life so far.

network = RNNRegressor((32,), readout="each", batch_size=8, max_iter=30, random_state=0)
network.fit(X[train], y[train])


def rows_of(x):
    sums, ages = np.vstack([np.zeros(3), x.cumsum(axis=0)]), np.arange(1, len(x) + 1)
    means = []
    for n in (5, 20, len(x)):
        first = np.maximum(ages - n, 0)
        means.append((sums[ages] - sums[first]) / (ages - first)[:, None])
    return np.column_stack([ages, x, *means])


boosting = HistGradientBoostingRegressor(random_state=0)
boosting.fit(np.concatenate([rows_of(x) for x in X[train]]), np.concatenate(y[train]))

predictions = {
    "network": network.predict(X),
    "gradient boosting": [boosting.predict(rows_of(x)) for x in X],
}
true = np.concatenate(y[test])
for name, predicted in predictions.items():
    errors = np.abs(np.concatenate(predicted[test]) - true)
    late = errors[true < 30].mean()
    print(
        f"{name:18} mean absolute error {errors.mean():.1f} cycles, in the last 30 "
        f"cycles {late:.1f}"
    )

# %%

fig, axes = plt.subplots(1, 3, figsize=(7.2, 3.6), sharey=True, layout="constrained")
for ax, i in zip(axes, (200, 201, 202)):
    ax.plot(y[i], color="black", linewidth=2.5, label="true")
    ax.plot(predictions["network"][i], color="C1", linewidth=2.5, label="network")
    ax.set_xlabel("cycle")
axes[0].set_ylabel("cycles left")
axes[0].legend(loc="lower left")
plt.show()

# %%
# From a prediction to a decision
# -------------------------------
#
# The rule is: replace the pump when the prediction falls to a limit. A low limit uses a pump to its end, but some break
# down. A high limit is safe, but throws good cycles away. A breakdown costs much more than some lost cycles, so the
# best limit is not 0. What counts is the cost per cycle, over all pumps.
#
# Two rules need no prediction: run each pump until it fails, and replace each pump at a fixed age.


def cost_per_cycle(predicted, limit):
    """Return euros per cycle, and the number of breakdowns."""
    euros = cycles = n_breakdowns = 0
    for left in predicted:
        low = np.flatnonzero(left[:-1] <= limit)  # in the last cycle it is too late
        n_breakdowns += len(low) == 0
        euros += PLANNED if len(low) else BREAKDOWN
        cycles += low[0] + 1 if len(low) else len(left)
    return euros / cycles, n_breakdowns


predictions["fixed age"] = [
    -np.arange(1.0, len(x) + 1) for x in X
]  # a limit of -100 is an age of 100 cycles
limits = {name: np.arange(1, 61) for name in predictions}
limits["fixed age"] = -np.arange(10, 201)
print(
    f"{'run until it fails':18} {BREAKDOWN / lives[test].mean():6.1f} euros per cycle"
)
for name, predicted in predictions.items():
    limit = min(
        limits[name], key=lambda limit: cost_per_cycle(predicted[choose], limit)[0]
    )
    cost, n_breakdowns = cost_per_cycle(predicted[test], limit)
    print(
        f"{name:18} {cost:6.1f} euros per cycle, {n_breakdowns:2} of 100 break down; "
        f"limit {abs(limit)} cycles"
    )
print(f"{'who knows the end':18} {cost_per_cycle(y[test], 1)[0]:6.1f} euros per cycle")

# %%
# The network costs least, and the table of means comes close: it was made by somebody who knows pumps. Both save more
# than half of the best fixed age. The figure has the costs of all limits. They rise steeply to the left, where pumps
# break down, and slowly to the right. So if in doubt, replace a little earlier.

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, color in (("network", "C1"), ("gradient boosting", "C0")):
    costs = [
        cost_per_cycle(predictions[name][test], limit)[0] for limit in limits[name]
    ]
    ax.plot(limits[name], costs, color=color, linewidth=2.5, label=name)
ax.set_xlabel("replace if the prediction is at most ... cycles")
ax.set_ylabel("euros per cycle (test pumps)")
ax.set_ylim(0, 150)
ax.legend()
plt.show()

# %%
# The rule for the pumps that run now is one line each morning. ``stream`` predicts step by step, so no pump has to be
# read again from its start (:doc:`plot_endless_stream` has more of it).

limit = min(
    limits["network"],
    key=lambda limit: cost_per_cycle(predictions["network"][choose], limit)[0],
)
pump, stream = X[test][0], network.stream()
for cycle in range(len(pump)):
    left = stream.predict([pump[[cycle]]])[0].item()
    if left <= limit:
        print(
            f"replace the pump after cycle {cycle + 1}; it would have failed after "
            f"{len(pump)}"
        )
        break
