"""
Who will buy? Classification of a click log
===========================================

A shop logs clicks: a long table with strings and numbers. Will a visitor buy? This depends on the order of the clicks:
"add, clear" leaves an empty cart, "clear, add" does not. Here a network reads the table as it is. It learns a vector
for each kind of event and for each page. A logistic regression on n-grams of the events stands beside it.
"""

# %%
# The log
# -------
#
# We make the log, so that we know the process. A visitor looks at products, adds some to the cart, may clear the cart,
# and sometimes types the code of a coupon. A pause of more than half an hour clears the cart too. At the end a visitor
# with something in the cart may buy it. A coupon makes this more likely, if the cart was not empty when it came. A high
# sum makes it less likely. And some products are only dreamt of: people put them into the cart, but seldom buy them.
# The log does not say which products these are.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier
from sklearn_rnn.preprocessing import sequences_from_frame

plt.rc("font", size=13)

N_PRODUCTS, N_VISITORS = 60, 800
rng = np.random.default_rng(0)
products = np.array(
    [f"/product/{i}" for i in rng.permutation(np.arange(100, 100 + N_PRODUCTS))]
)
price = rng.lognormal(3, 0.7, N_PRODUCTS).round(2)
is_dream = rng.random(N_PRODUCTS) < 0.4
popularity = 1 / np.arange(1, N_PRODUCTS + 1) ** 0.7


def visit(n_products):
    """Return the events of a session as (pause in seconds, event, page, amount), and
    the chance that it buys."""
    chances = popularity[:n_products] / popularity[:n_products].sum()
    events, cart, has_coupon = [], [], False
    for _ in range(rng.integers(4, 17)):
        pause = rng.lognormal(3.2, 1) if rng.random() < 0.93 else rng.uniform(900, 5400)
        event = rng.choice(["view", "add", "clear", "coupon"], p=[0.35, 0.4, 0.1, 0.15])
        product = rng.choice(n_products, p=chances)
        if pause > 1800 or event == "clear":
            cart, has_coupon = [], False
        if event == "add":
            cart.append(product)
        has_coupon |= event == "coupon" and len(cart) > 0
        page = products[product] if event in ("view", "add") else "/cart"
        events.append(
            (pause, event, page, price[product] if event == "add" else np.nan)
        )
    if not cart:
        return events, 0.02
    score = 1.5 + 2.5 * has_coupon - 5 * is_dream[cart].mean() - price[cart].sum() / 60
    return events, 1 / (1 + np.exp(-score))


def log_of(n_visitors, n_products, first_day):
    """Return the log of visitors with one to five sessions each, and the chance of
    every session."""
    rows, chances, session = [], [], 0
    for visitor in range(n_visitors):
        for _ in range(rng.integers(1, 6)):
            events, chance = visit(n_products)
            pauses, *columns = zip(*events)
            seconds = rng.uniform(0, 30 * 86400) + np.cumsum(pauses)
            times = pd.Timestamp(first_day) + pd.to_timedelta(seconds, unit="s").round(
                "ms"
            )
            buys = "buys" if rng.random() < chance else "leaves"
            rows += [(visitor, session, *row, buys) for row in zip(times, *columns)]
            chances.append(chance)
            session += 1
    log = pd.DataFrame(
        rows,
        columns=["visitor", "session", "time", "event", "page", "amount", "outcome"],
    )
    log = log.sort_values("time", ignore_index=True)
    return log, np.array(chances)[
        log["session"].unique()
    ]  # in the order in which the sessions first appear


log, chances = log_of(N_VISITORS, n_products=50, first_day="2025-03-01")
print(log.head(8).to_string())
print(
    f"{len(log)} events, {log['session'].nunique()} sessions, {log['page'].nunique()} "
    "pages"
)

# %%
# From the log to sequences
# -------------------------
#
# A session is a sequence, and its outcome is the target. A network needs no date, but the pause before an event may
# tell something: ``pause``, in minutes. Numbers must not be missing: an event without an amount has 0 here. That is all
# the preparation. X is a list of data frames, in which strings and numbers stand side by side.


def read(log):
    pause = log.groupby("session")["time"].diff().dt.total_seconds() / 60
    log = log.assign(pause=pause.fillna(0), amount=log["amount"].fillna(0))
    features = ["event", "page", "amount", "pause"]
    return sequences_from_frame(
        log, "session", "time", features, "outcome", groups="visitor"
    )


X, y, visitors = read(log)
print(X[0].to_string(index=False), "->", y[0])
print(f"{np.mean(y == 'buys'):.0%} of the sessions buy")

# %%
# The network
# -----------
#
# Columns of strings are categories: the network learns a vector for each kind of event and for each page. It reads a
# session from its start to its end and predicts from its last state. This suits a cart, which is filled step by step:
# the default, which reads in both directions and pools the states, reaches less here. And such a network can also
# follow a session while it goes on (below).
#
# The rule of thumb for the size of the vectors (``embedding_size="auto"``) gives 4 numbers to each of the 4 kinds of
# events and 14 to each of the 51 pages. That is a lot for some thousand sessions, so all vectors get 4.

network = RNNClassifier(
    (32,),
    embedding_size=4,
    readout="last",
    bidirectional=False,
    learning_rate_init=0.01,
    max_iter=15,
    random_state=0,
)

# %%
# Beside it: n-grams of up to three events, counted, with logistic regression. The second set of n-grams also has the
# page of each event.


def words_of(x):
    return " ".join(x["event"])


def words_with_pages(x):
    return " ".join(
        [
            *x["event"],
            *(
                event + page.replace("/", "_")
                for event, page in zip(x["event"], x["page"])
            ),
        ]
    )


def n_grams(words):
    counts = CountVectorizer(preprocessor=words, ngram_range=(1, 3), min_df=2)
    return make_pipeline(counts, LogisticRegression(C=0.1, max_iter=1000))


models = {
    "n-grams of events": n_grams(words_of),
    "n-grams of events and pages": n_grams(words_with_pages),
    "network": network,
}

# %%
# What came out
# -------------
#
# No visitor is in the training and in the test data of a split. Purchases are partly chance: even the process itself,
# which knows the chance of every session, does not reach an area under the ROC curve of 1.

for name, model in models.items():
    aucs = cross_val_score(
        model, X, y, groups=visitors, cv=GroupKFold(3), scoring="roc_auc"
    )
    print(
        f"{name:28} AUC {aucs.mean():.3f} (standard deviation of the splits "
        f"{aucs.std():.3f})",
        flush=True,
    )
print(f"{'the process itself':28} AUC {roc_auc_score(y, -chances):.3f}")

# %%
# The network wins clearly: it keeps an account of the cart, which n-grams of three events cannot. It is still far from
# the process, which knows all about the products.
#
# The vectors of the pages
# ------------------------
#
# ``weights_["embedding.page"]`` has a vector for each page, after a first one for unknown pages. The figure has two
# principal components of them. The colours come from the process: nobody told the network which products are only
# dreamt of.

network.fit(X, y)
vectors = dict(zip(network.categories_[1], network.weights_["embedding.page"][1:]))
components = PCA(2).fit_transform([vectors[page] for page in products[:50]])

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for label, chosen in (("bought", ~is_dream[:50]), ("only dreamt of", is_dream[:50])):
    ax.scatter(
        *components[chosen].T,
        s=400 * popularity[:50][chosen] ** 0.7,
        alpha=0.7,
        label=label,
    )
ax.set(
    xlabel="first component",
    ylabel="second component",
    title="vectors of the product pages (size: popularity)",
)
ax.legend(markerscale=0.5)
plt.show()

# %%
# Most of the products that are only dreamt of lie to the right. Some of the others lie among them: a cart has several
# products, and their effects are hard to tell apart.
#
# A session, followed
# -------------------
#
# ``stream`` reads a session event by event. After each event it predicts as if the session ended here. Here is a
# session of the next month.

later, later_chances = log_of(600, n_products=60, first_day="2025-04-01")
X_later, y_later, _ = read(later)
session = next(
    x
    for x in X_later
    if {"clear", "coupon"} <= set(x["event"]) and x["pause"].max() > 30
)
stream = network.stream()
chance = [stream.predict_proba([session.iloc[[t]]])[0, 0] for t in range(len(session))]

labels = [
    f"{event}\n{page.split('/')[-1]}\n{pause:.0f} min"
    for event, page, pause in zip(session["event"], session["page"], session["pause"])
]
is_dreamt = [
    event == "add" and page in products[is_dream]
    for event, page in zip(session["event"], session["page"])
]
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(chance, color="lightgray", linewidth=3)
ax.scatter(
    range(len(session)), chance, s=90, c=np.where(is_dreamt, "C1", "C0"), zorder=2
)
ax.set_xticks(range(len(session)), labels, fontsize=10)
ax.set(
    ylabel="probability that it buys",
    ylim=(0, 1),
    title="orange: adds a product that is only dreamt of",
)
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# Below each event are its page and the pause before it. "clear" takes the probability to 0, and a dream lowers it. But
# the pause of 33 minutes cleared the cart too, and the network did not notice. Where does it see the limit? We let
# somebody add a product, type the code of a coupon, and then look at a product after a pause.

minutes = np.linspace(0, 90, 91)
steps = pd.DataFrame(
    {
        "event": ["add", "coupon", "view"],
        "page": [products[0], "/cart", products[0]],
        "amount": [price[0], 0, 0],
    }
)
visits = [steps.assign(pause=[0, 0.5, pause]) for pause in minutes]
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(minutes, network.predict_proba(visits)[:, 0], color="C0")
ax.axvline(30, color="gray", linestyle=":")
ax.set(
    xlabel="pause before the last event (minutes)",
    ylabel="probability that it buys",
    ylim=(0, 1),
)
plt.show()

# %%
# It has learned that long pauses clear the cart. But the process has a sharp limit, and the network a gradual one.
#
# Pages that the network does not know
# ------------------------------------
#
# In the next month the shop has ten new products. All of them have the vector of unknown pages. No unknown page came in
# training, so it is 0, the mean of the start values of the other vectors.

known = set(network.categories_[1])
is_new = np.array([not known.issuperset(x["page"]) for x in X_later])
grams = models["n-grams of events and pages"].fit(X, y)
for name, chosen in (("known pages only", ~is_new), ("with new pages", is_new)):
    scores = {
        "n-grams": grams.predict_proba(X_later)[:, 1],
        "network": network.predict_proba(X_later)[:, 1],
        "process": -later_chances,
    }
    aucs = [
        f"{key} {roc_auc_score(y_later[chosen], score[chosen]):.3f}"
        for key, score in scores.items()
    ]
    print(f"{chosen.sum():4} later sessions, {name:16}  AUC: {', '.join(aucs)}")

# %%
# Sessions with new pages are harder for both, and more so for the n-grams. If many unknown pages come, train their
# vector: :doc:`plot_tagging` does so, and shows how much it helps.

# %%
# Which carts to keep
# -------------------
#
# The shop can keep the goods of a tenth of the carts for a day, so that nobody else buys them. It takes those with the
# highest probability.

n_kept = len(y_later) // 10
print(
    f"of all later sessions {np.mean(y_later == 'buys'):.0%} buy; of the {n_kept} "
    "kept carts:"
)
for name, score in (
    ("n-grams", grams.predict_proba(X_later)[:, 0]),
    ("network", network.predict_proba(X_later)[:, 0]),
):
    kept = np.argsort(-score)[:n_kept]
    print(f"  chosen by {name:8} {np.mean(y_later[kept] == 'buys'):.0%}")
