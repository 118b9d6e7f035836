"""
Rare failures: class weights, thresholds, and money
===================================================

One cooling unit in forty fails in the night after its records. A model that never gives an alarm is right in 97.5 % of
all cases, and of no use. An alarm costs a visit, 150 euros; a failure without an alarm costs the goods, 5,000. So the
question is not how often the model is right, but what its alarms cost. This example compares three ways to cheaper
alarms: a threshold that follows from the costs, a threshold that is tuned, and class weights.
"""

# %%
# The records
# -----------
#
# A record has the temperature and the electric power of a unit, every half hour of a day. Every unit has short peaks of
# its power. Before a failure three peaks come at equal distances, and each is higher than the one before.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_rnn import RNNClassifier

plt.rc("font", size=13)

VISIT, LOSS = 150, 5_000  # euros
PEAKS = np.array([2.0, 3.0, 4.0])


def records(n_units, seed):
    rng = np.random.default_rng(seed)
    fails = rng.random(n_units) < 1 / 40
    days = rng.uniform(0, 2 * np.pi, size=(n_units, 1)) + np.linspace(0, 2 * np.pi, 48)
    temperature = 4 + np.sin(days) + 0.3 * rng.normal(size=days.shape)
    power = 2 + 0.5 * temperature + 0.3 * rng.normal(size=days.shape)
    for unit in range(n_units):
        start, distance = rng.integers(4, 30), rng.integers(3, 8)
        in_order = start + distance * np.arange(3)
        anywhere = rng.choice(48, size=3, replace=False)
        power[unit, in_order if fails[unit] else anywhere] += PEAKS
    return np.stack([temperature, power], axis=2), fails.astype(int)


X, y = records(2000, seed=0)
X_val, y_val = records(1000, seed=1)
X_test, y_test = records(3000, seed=2)
print(
    f"X {X.shape}: units, steps, features; {y.sum()} of {len(y)} fail, and "
    f"{y_test.sum()} of {len(y_test)} test units"
)

fig, axes = plt.subplots(
    2, 1, figsize=(7, 4.5), sharex=True, sharey=True, layout="constrained"
)
hours = np.arange(48) / 2
for ax, fails, title in zip(axes, (0, 1), ("runs on", "fails")):
    ax.plot(
        hours,
        X[np.flatnonzero(y == fails)[3], :, 1],
        color=("C0", "C3")[fails],
        linewidth=2.5,
    )
    ax.set_title(title)
    ax.set_ylabel("power (kW)")
axes[1].set_xlabel("hour of the day")
plt.show()

# %%
# The money
# ---------
#
# Whatever gives the alarms, this is what a day costs:


def cost(y, alarms):
    """Return euros: a visit for each alarm, and the goods for each failure without
    one."""
    return VISIT * np.sum(alarms) + LOSS * np.sum((y == 1) & (alarms == 0))


results = {
    "no alarm ever": cost(y_test, np.zeros_like(y_test)),
    "a visit to every unit": cost(y_test, np.ones_like(y_test)),
}

# %%
# Rules for alarms
# ----------------
#
# ``predict`` gives an alarm if the probability of a failure is above one half. With rare failures that is seldom.
#
# But if the model says "a failure with a probability of 10 %", then a visit costs 150 euros, and no visit costs 500 in
# the mean. A visit pays from 150 / 5,000 = 3 % on. This threshold needs no data, only probabilities that are right.

settings = {
    "hidden_layer_sizes": (16,),
    "readout": ("mean", "max"),
    "learning_rate_init": 0.01,
    "max_iter": 15,
}
plain = RNNClassifier(**settings, random_state=0).fit(X, y)
failure = plain.predict_proba(X_test)[:, 1]
print(
    f"accuracy of predict {plain.score(X_test, y_test):.3f}, AUC "
    f"{roc_auc_score(y_test, failure):.3f}"
)
results["predict"] = cost(y_test, plain.predict(X_test))
results["threshold from the costs"] = cost(y_test, failure > VISIT / LOSS)

# %%
# Or the threshold is tuned. scikit-learn's ``TunedThresholdClassifierCV`` tries many of them, and keeps the one of the
# least cost, here on 1,000 more records that the network has not seen.

tuned = TunedThresholdClassifierCV(
    plain,
    scoring=make_scorer(cost, greater_is_better=False),
    cv="prefit",
    refit=False,
    thresholds=500,
)
tuned.fit(X_val, y_val)
print(f"tuned threshold {tuned.best_threshold_:.3f}")
results["tuned threshold"] = cost(y_test, tuned.predict(X_test))

# %%
# Or the classes get weights. ``"balanced"`` trains as if there were as many failures as other records. Then one half is
# a sensible threshold. But the probabilities are those of a world in which every second unit fails: do not use them
# with the threshold from the costs.

balanced = RNNClassifier(**settings, class_weight="balanced", random_state=0).fit(X, y)
results["class_weight='balanced'"] = cost(y_test, balanced.predict(X_test))
for name, model in (("plain", plain), ("balanced", balanced)):
    predicted = model.predict_proba(X_test)[:, 1].mean()
    print(
        f"mean probability of a failure: {name} {predicted:.3f}, in truth "
        f"{y_test.mean():.3f}"
    )

# %%
# Beside the networks: gradient boosting on statistics of each record, with the threshold from the costs.


def statistics(X):
    quantiles = np.quantile(X, [0, 0.1, 0.5, 0.9, 1], axis=1)
    return np.concatenate([X.mean(axis=1), X.std(axis=1), *quantiles], axis=1)


boosting = make_pipeline(
    FunctionTransformer(statistics),
    HistGradientBoostingClassifier(max_iter=50, random_state=0),
)
boosting.fit(X, y)
results["gradient boosting"] = cost(
    y_test, boosting.predict_proba(X_test)[:, 1] > VISIT / LOSS
)

# %%
# What it costs
# -------------

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
bars = ax.barh(
    list(results),
    [euros / len(y_test) for euros in results.values()],
    color=["0.7"] * 2 + ["C0"] * 4 + ["C1"],
)
ax.bar_label(bars, fmt="%.0f", padding=3)
ax.invert_yaxis()
ax.set_xlabel("euros per unit and day")
ax.margins(x=0.1)
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# The threshold from the costs is the cheapest rule here. The tuned one knows few failures: 1,000 records have about 25,
# so it depends on chance. Statistics do not show the order of the peaks, so their alarms are worth nothing.
#
# The next figure has the cost at every threshold. For the plain network the lowest cost is where the rule of the costs
# says. For the balanced one it is elsewhere: its threshold must be tuned.

thresholds = np.logspace(-3, 0, 200)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, model in (("plain", plain), ("balanced", balanced)):
    failure = model.predict_proba(X_test)[:, 1]
    ax.semilogx(
        thresholds,
        [cost(y_test, failure > t) / len(y_test) for t in thresholds],
        linewidth=2.5,
        label=name,
    )
ax.axvline(
    VISIT / LOSS, color="black", linestyle=":", linewidth=2, label="from the costs"
)
ax.set_xlabel("threshold")
ax.set_ylabel("euros per unit and day")
ax.legend()
plt.show()
