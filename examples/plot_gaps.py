"""
Gaps: sensors that do not always answer
=======================================

Wireless sensors on the bearings of a plant send at irregular times, and many messages get lost. What shall a network
read where a value is missing? The mean of all values is the usual answer. But a gap has a last value before it, and
sometimes the gap itself says something. This example compares four ways to fill gaps by what counts in the plant: how
many of the bearings that will fail are found in time.
"""

# %%
# The table
# ---------
#
# Each bearing has a level of its own, and in some of them the temperature rises by a few degrees. In some of them the
# vibration makes the sensor lose more and more messages. Each of the two is harmless alone. A bearing with both will
# fail.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.preprocessing import ForwardFill, TimeDistributed, sequences_from_frame

plt.rc("font", size=13)

N_VISITS = 100
FEATURES = ["hour", "temperature", "vibration"]
rng = np.random.default_rng(0)


def messages_of(bearing):
    """Return the messages of some days, with NaN for what got lost."""
    n = rng.integers(35, 51)
    hours = (0.1 + rng.exponential(1, size=n)).cumsum()
    rises, loses = rng.random(2) < 0.5
    start = rng.uniform(0.3, 0.6) * hours[-1]
    wear = np.clip((hours - start) / (hours[-1] - start), 0, 1)
    temperature = rng.normal(60, 12) + 3 * rises * wear + 0.4 * rng.normal(size=n)
    vibration = rng.normal(3, 0.6) + 0.15 * rng.normal(size=n)
    temperature[rng.random(n) < 0.4] = np.nan
    vibration[rng.random(n) < 0.4 + 0.45 * loses * wear] = np.nan
    messages = pd.DataFrame(
        {
            "bearing": bearing,
            "hour": hours,
            "temperature": temperature,
            "vibration": vibration,
        }
    )
    return messages.dropna(how="all", subset=FEATURES[1:]).assign(
        fails=int(rises and loses)
    )


table = pd.concat(
    [messages_of(bearing) for bearing in range(1200)], ignore_index=True
).round(2)
print(table.head(6).to_string(index=False))
print(
    f"{len(table)} messages; without temperature "
    f"{table['temperature'].isna().mean():.0%}, ",
    end="",
)
print(f"without vibration {table['vibration'].isna().mean():.0%}")

# %%
# Four ways to fill
# -----------------
#
# scikit-learn's ``SimpleImputer`` puts the mean of all bearings into a gap.
# :class:`~sklearn_rnn.preprocessing.ForwardFill` puts there the last value of the same bearing. (A gap at the start has
# no value before it. There the mean stands.) Both can add indicators: features that are 1 in a gap and 0 elsewhere. The
# hour is a feature too, because the times are irregular.

X, y, _ = sequences_from_frame(
    table, "bearing", order=None, features=FEATURES, target="fails"
)
X_train, y_train, X_test, y_test = X[:700], y[:700], X[700:], y[700:]


def network_after(*fillers):
    network = RNNClassifier(
        (32,), batch_size=32, learning_rate_init=0.01, max_iter=15, random_state=0
    )
    return make_pipeline(*fillers, TimeDistributed(StandardScaler()), network)


mean = TimeDistributed(SimpleImputer())
models = {
    "mean": network_after(mean),
    "mean, indicators": network_after(
        TimeDistributed(SimpleImputer(add_indicator=True))
    ),
    "last value": network_after(ForwardFill(), mean),
    "last value, indicators": network_after(ForwardFill(add_indicator=True), mean),
}

# %%
# What the network would see of one bearing:

bearing = X_train[np.flatnonzero(y_train == 1)[0]]
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, filler, color in (
    ("filled with the mean", mean, "C1"),
    ("filled with the last value", ForwardFill(), "C0"),
):
    filled = np.asarray(filler.fit(X_train).transform([bearing])[0])
    ax.plot(bearing["hour"], filled[:, 1], color=color, linewidth=2, label=name)
ax.plot(
    bearing["hour"],
    bearing["temperature"],
    "o",
    color="black",
    markersize=7,
    label="measured",
)
ax.set_xlabel("hour")
ax.set_ylabel("temperature (°C)")
ax.legend()
plt.show()

# %%
# The mean of all bearings makes jumps that are much larger than the rise to be found. The last value keeps the rise,
# but hides the gaps.
#
# Whom to visit
# -------------
#
# The mechanics can visit 100 of the 500 test bearings. They go where the probability of a failure is highest. Beside
# the networks stands gradient boosting on statistics: mean, range, first and last value and number of values of each
# feature.


def statistics(X):
    rows = []
    for x in X:
        known = [column[~np.isnan(column)] for column in x.to_numpy().T]
        rows.append(
            [
                value
                for v in known
                for value in (v.mean(), v.min(), v.max(), v[0], v[-1], len(v))
            ]
        )
    return np.array(rows)


models["gradient boosting"] = make_pipeline(
    FunctionTransformer(statistics),
    HistGradientBoostingClassifier(max_iter=50, random_state=0),
)
found = {}
print(f"{y_test.sum()} of {len(y_test)} bearings will fail")
for name, model in models.items():
    failure = model.fit(X_train, y_train).predict_proba(X_test)[:, 1]
    found[name] = y_test[np.argsort(-failure)[:N_VISITS]].sum()
    print(
        f"{name:22} AUC {roc_auc_score(y_test, failure):.3f}, {N_VISITS} visits find "
        f"{found[name]}",
        flush=True,
    )

# %%

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
bars = ax.barh(list(found), list(found.values()), color=["C1", "C1", "C0", "C0", "0.7"])
ax.axvline(
    N_VISITS * y_test.mean(), color="black", linestyle=":", label="visits by chance"
)
ax.bar_label(bars, padding=3)
ax.invert_yaxis()
ax.set(xlabel=f"failing bearings found by {N_VISITS} visits", xlim=(0, N_VISITS))
ax.legend(loc="upper right")
plt.show()

# %%
# The networks that read the last value find more than those that read the mean, with the same training. Gradient
# boosting, whose statistics skip the gaps and know the first and the last value, finds almost as many. (Differences
# of a few bearings are chance.) Indicators raise the AUC after the mean, and lower it after the last value. In this
# simulation gaps do tell something, but 700 bearings are few to learn it from. With your data try both: the filler is
# a step of the pipeline, so a grid search can choose it. ``ForwardFill`` also has ``add_elapsed``: the time since the
# last value, for values that get old.
