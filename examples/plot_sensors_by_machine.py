"""
What is wrong with this machine?
================================

A workshop has sixty machines, and a long table with what their sensors measured: one row for each machine and second.
Some machines have a loose belt, some a worn bearing. Which ones shall the technician visit first? This example goes
from the raw table to a list of visits. It also shows a trap: a wrong split between training and test data makes any
model look better than it is.
"""

# %%
# The table
# ---------
#
# We make the table, so that we know the truth. Every machine has levels of its own. Now and then the current drops, and
# now and then the vibration jumps. In a machine with a loose belt, the jump comes two seconds *after* the drop. With a
# worn bearing it comes two seconds *before* it. In a machine that is fine, they have nothing to do with each other. So
# the order counts.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_rnn import RNNClassifier
from sklearn_rnn.preprocessing import sequences_from_frame

plt.rc("font", size=15)

N_MACHINES, N_RUNS = 60, 4
SENSORS = ["current", "vibration", "temperature"]
DELAYS = {
    "loose belt": 2,
    "worn bearing": -2,
}  # seconds from a drop of the current to a jump of the vibration
rng = np.random.default_rng(0)


def run_of(state, levels):
    """Return the readings of a machine from its start to its stop, one row for each
    second."""
    n = rng.integers(40, 81)
    noise = rng.normal(scale=[0.3, 0.3, 0.1], size=(n, 3))
    noise[:, 2] = noise[:, 2].cumsum()
    readings = pd.DataFrame(levels + noise, columns=SENSORS)
    for drop in rng.choice(np.arange(4, n - 4), size=rng.integers(3, 7), replace=False):
        jump = drop + DELAYS[state] if state in DELAYS else rng.integers(4, n - 4)
        readings.loc[drop, "current"] -= 2
        readings.loc[jump, "vibration"] += 2
    return readings.rename_axis("second").reset_index()


runs, states = (
    [],
    rng.choice(
        ["fine", "loose belt", "worn bearing"], size=N_MACHINES, p=[0.5, 0.25, 0.25]
    ),
)
for machine, state in enumerate(states):
    levels = rng.normal([8, 2, 45], [0.5, 0.5, 5])
    runs += [
        run_of(state, levels).assign(machine=f"M{machine:02}", run=i, state=state)
        for i in range(N_RUNS)
    ]
table = pd.concat(runs).sort_values(["run", "second"], ignore_index=True).round(2)
print(table.sample(5, random_state=0).to_string(index=False))
print(f"{len(table)} rows")

# %%
# From rows to sequences
# ----------------------
#
# One line cuts the table: each run of a machine is a sequence, ordered by the second, with its state as the target. The
# third result says which machine each sequence is from.

X, y, machines = sequences_from_frame(
    table, ["machine", "run"], "second", SENSORS, "state"
)
print(f"{len(X)} sequences of {min(map(len, X))} to {max(map(len, X))} steps")

fig, axes = plt.subplots(1, 3, figsize=(7.2, 3.6), sharey=True, layout="constrained")
for ax, state in zip(axes, np.unique(y)):
    run = X[np.flatnonzero(y == state)[0]].iloc[:30]
    ax.plot(run["current"].to_numpy(), color="C0", linewidth=2.5, label="current")
    ax.plot(run["vibration"].to_numpy(), color="C3", linewidth=2.5, label="vibration")
    ax.set_title(state)
    ax.set_xlabel("second")
axes[0].legend(loc="center left")
plt.show()

# %%
# Two models
# ----------
#
# The network takes the sequences as they are. Beside it stands what one does without a network: a row of statistics for
# each run, and gradient boosting.


def statistics(X):
    """Return a row for each sequence: mean, spread and quantiles of each sensor, and
    their correlations."""
    arrays = [x.to_numpy() for x in X]
    quantiles = [np.quantile(x, [0, 0.1, 0.5, 0.9, 1], axis=0).ravel() for x in arrays]
    correlations = [np.corrcoef(x.T)[np.triu_indices(3, k=1)] for x in arrays]
    return np.column_stack(
        [[[*x.mean(axis=0), *x.std(axis=0)] for x in arrays], quantiles, correlations]
    )


models = {
    "gradient boosting": make_pipeline(
        FunctionTransformer(statistics),
        HistGradientBoostingClassifier(max_iter=50, random_state=0),
    ),
    "network": RNNClassifier(
        (32,), batch_size=16, learning_rate_init=0.01, max_iter=15, random_state=0
    ),
}

# %%
# The wrong split, and the right one
# ----------------------------------
#
# ``KFold`` puts runs of one machine into the training *and* the test data. A model can then recognise the machine by
# its levels, and repeat the state that it had in training. That is of no use for a machine that it has never seen.
# ``GroupKFold`` keeps all runs of a machine together.

classes = np.unique(y)
splits = {
    "KFold": KFold(3, shuffle=True, random_state=0).split(X),
    "GroupKFold": GroupKFold(3).split(X, y, machines),
}
print(f"accuracy if all are called fine: {np.mean(y == 'fine'):.2f}")
suspicion = {}  # of each run: the probability that something is wrong
for split, folds in splits.items():
    folds = list(folds)
    for name, model in models.items():
        probabilities = cross_val_predict(model, X, y, cv=folds, method="predict_proba")
        accuracy = np.mean(classes[probabilities.argmax(axis=1)] == y)
        print(f"{split:11} {name:18} accuracy {accuracy:.2f}", flush=True)
        suspicion[name] = 1 - probabilities[:, classes == "fine"].ravel()

# %%
# The statistics do not show the order: in truth, they are of no use here, and only the wrong split hides it.
#
# Whom to visit
# -------------
#
# The workshop decides about machines, and not about runs. So we take the mean over the runs of each machine, and visit
# the machines with the highest value first. (The loop above ends with ``GroupKFold``: each machine was judged by a
# network that had not seen it.)

visits = np.arange(1, N_MACHINES + 1)
is_broken = pd.Series(y != "fine").groupby(machines).first()
found = {}
for name, values in suspicion.items():
    ranking = pd.Series(values).groupby(machines).mean().sort_values(ascending=False)
    found[name] = is_broken[ranking.index].cumsum().to_numpy()
    print(
        f"{name:18} {found[name][19]} of {is_broken.sum()} broken machines found by "
        "the first 20 visits"
    )
    if name == "network":
        print("the first visits:", ", ".join(ranking.index[:8]))

# %%

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, color in (("network", "C0"), ("gradient boosting", "C1")):
    ax.plot(visits, found[name], color=color, linewidth=2.5, label=name)
ax.plot(
    visits,
    visits * is_broken.mean(),
    color="gray",
    linestyle=":",
    linewidth=2,
    label="in any order",
)
ax.set_xlabel("visits")
ax.set_ylabel("broken machines found")
ax.legend()
plt.show()
