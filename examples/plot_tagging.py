"""
The role of every name in a program
===================================

Tagging gives a label to every token of a text: parts of speech, names of people, roles. Here the texts are lines of
Python, and the tags are the roles of names: a function that is called, a parameter, a variable that is assigned, and so
on. The parser of Python knows the true roles. The network sees nothing but the tokens. It reads each line in both
directions, and it must tag names that it has never seen.
"""

# %%
# Lines of code and their tags
# ----------------------------
#
# The text is the source of scikit-learn, which is installed anyway. ``tokenize`` cuts it into tokens, and ``ast`` tells
# the roles of names by their positions. A sequence is a logical line, which may go over several lines of the file.
# Numbers and strings become one token each. Only names have a tag: the other tokens have None, an unknown target. They
# are read, but they count neither in the loss nor in the scores.

import ast
import io
import keyword
import tokenize
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier
from sklearn_rnn.metrics import make_step_scorer

plt.rc("font", size=13)

SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
LITERALS = {tokenize.NUMBER: "<number>", tokenize.STRING: "<string>"}


def roles_of(source):
    """Return the role of the name at each position (line, column)."""
    tree = ast.parse(source)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    roles = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            is_assigned = not isinstance(node.ctx, ast.Load)
            role = (
                "called"
                if id(node) in called
                else "assigned"
                if is_assigned
                else "read"
            )
            roles[node.lineno, node.col_offset] = role
        elif isinstance(node, ast.Attribute):
            role = "method" if id(node) in called else "attribute"
            roles[node.end_lineno, node.end_col_offset - len(node.attr)] = role
        elif isinstance(node, ast.arg):
            roles[node.lineno, node.col_offset] = "parameter"
        elif isinstance(node, ast.keyword) and node.arg is not None:
            roles[node.lineno, node.col_offset] = "keyword"
    return roles


def tagged_lines(source):
    """Yield the tokens and the tags of each logical line."""
    roles, tokens, tags = roles_of(source), [], []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE:
            yield np.array(tokens, dtype=object), np.array(tags, dtype=object)
            tokens, tags = [], []
        elif token.type not in SKIPPED:
            tag = None
            if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
                if tokens[:1] in (["import"], ["from"]):
                    tag = "import"
                elif tokens[-1:] in (["def"], ["class"]):
                    tag = "defined"
                else:
                    tag = roles.get(token.start)
            tokens.append(LITERALS.get(token.type, token.string))
            tags.append(tag)


X, y, modules = [], [], []
for package in ("cluster", "decomposition", "neighbors"):
    for path in sorted(Path(sklearn.__file__).parent.glob(f"{package}/_*.py")):
        source = path.read_text(encoding="utf-8")
        if source.isascii():  # ast counts bytes, tokenize counts characters
            for tokens, tags in tagged_lines(source):
                if any(tag is not None for tag in tags):
                    X.append(tokens)
                    y.append(tags)
                    modules.append(f"{package}/{path.name}")

print(
    f"{len(set(modules))} modules, {len(X)} lines, {sum(map(len, X))} tokens, "
    f"{len(set(np.concatenate(X)))} different"
)
i = next(
    i
    for i, tags in enumerate(y)
    if {"assigned", "called", "keyword", "method"} <= set(tags)
)
for token, tag in zip(X[i], y[i]):
    print(f"{token:20} {tag or ''}")

# %%
# The network and its rivals
# --------------------------
#
# Each step has a target, so ``readout="each"``. The whole line is known when we predict, so the network reads it in
# both directions. A token is a category, whose vector the network learns. The short training needs a high learning
# rate.

network = RNNClassifier(
    (32,),
    readout="each",
    bidirectional=True,
    embedding_size=16,
    learning_rate_init=0.01,
    max_iter=5,
    random_state=0,
)

# %%
# A rival sees the token alone: it can only learn the usual role of each name. The second one also sees the two tokens
# before and after it, and their places. Both are logistic regressions on one-hot codes, with the form of a tagger.


class WindowTagger(ClassifierMixin, BaseEstimator):
    """Logistic regression on each token and those at most ``reach`` places from it."""

    def __init__(self, reach=0):
        self.reach = reach

    def fit(self, X, y):
        tags = np.concatenate(y)
        has_tag = tags != np.array(None)
        windows = np.array(self._windows(X))[has_tag]
        self.model_ = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=300))
        self.model_.fit(windows, tags[has_tag].astype(str))
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return np.split(
            self.model_.predict(self._windows(X)), np.cumsum([len(x) for x in X])[:-1]
        )

    def _windows(self, X):
        places = range(-self.reach, self.reach + 1)
        return [
            {k: x[i + k] for k in places if 0 <= i + k < len(x)}
            for x in X
            for i in range(len(x))
        ]


# %%
# What came out
# -------------
#
# A third of the modules is for the test: lines of one module are never in both parts. scikit-learn's scorers do not
# know sequences of labels. :func:`~sklearn_rnn.metrics.make_step_scorer` gives them the steps that have a target.

models = {
    "the token": WindowTagger(),
    "and two on each side": WindowTagger(reach=2),
    "network, forwards only": clone(network).set_params(bidirectional=False),
    "network": network,
}
train, test = next(GroupKFold(3).split(X, groups=modules))
X_train, y_train, X_test, y_test = (
    [values[i] for i in part] for part in (train, test) for values in (X, y)
)
accuracy, f1 = make_step_scorer("accuracy"), make_step_scorer("f1_macro")
for name, model in models.items():
    model.fit(X_train, y_train)
    print(
        f"{name:22} accuracy {accuracy(model, X_test, y_test):.4f}, "
        f"F1 (mean over the roles) {f1(model, X_test, y_test):.4f}",
        flush=True,
    )

# %%
# The network finds almost all roles. If it reads forwards only, it is worse than the regression on two tokens on each
# side: the bracket that makes a name a function comes after it.
#
# Which roles are hard?

true = np.concatenate(y_test)
is_name = true != np.array(None)
true = true[is_name].astype(str)


def tags_of_names(model):
    return np.concatenate(model.predict(X_test))[is_name].astype(str)


roles = sorted(set(true))
found = {name: tags_of_names(model) for name, model in models.items()}
fig, ax = plt.subplots(figsize=(7.2, 4.5), layout="constrained")
for k, (name, tags) in enumerate(found.items()):
    scores = f1_score(true, tags, average=None, labels=roles)
    ax.bar(np.arange(len(roles)) + 0.2 * (k - 1.5), scores, width=0.2, label=name)
ax.set_xticks(range(len(roles)), roles, rotation=25)
ax.set(ylabel="F1 on test lines", ylim=(0, 1))
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %%
# Parameters are hard for the windows: ``def`` may be far away. Some of the network's mistakes:

names = np.concatenate(X_test)[is_name]
lines = np.repeat(np.arange(len(X_test)), [len(x) for x in X_test])[is_name]
wrong = np.flatnonzero(found["network"] != true)
print(f"{len(wrong)} of {len(true)} names")
for i in wrong[:: max(1, len(wrong) // 6)]:
    print(
        f"{names[i]} is {true[i]}, but tagged {found['network'][i]}: "
        f"{' '.join(X_test[lines[i]])[:70]}"
    )

# %%
# Names that it has never seen
# ----------------------------
#
# More than a quarter of the names in the test lines are in none of the training lines. They share the vector of
# unknown categories. By default every token of the training lines has a vector of its own: then none is unknown in
# training, and the shared vector stays 0. If ``categories`` lists the most frequent tokens only, the others are
# unknown in training too, and the shared vector is trained.

counts = Counter(np.concatenate(X_train))
is_known = np.isin(names, list(counts))
print(f"{1 - is_known.mean():.0%} of the names in test lines are unknown")

sizes = [10, 50, len(counts)]
fig, axes = plt.subplots(2, 1, figsize=(7, 5.5), layout="constrained")
for ax, name in zip(axes, ("network", "network, forwards only")):
    accuracies = []
    for size in sizes:
        model = models[name]  # has a vector for each token
        if size < len(counts):
            categories = [[token for token, _ in counts.most_common(size)]]
            model = clone(model).set_params(categories=categories).fit(X_train, y_train)
        is_right = tags_of_names(model) == true
        accuracies.append((is_right[is_known].mean(), is_right[~is_known].mean()))
        print(
            f"{name:22} {size:4} categories: accuracy {is_right.mean():.4f}, of "
            f"unknown names {accuracies[-1][1]:.4f}"
        )
    ax.semilogx(
        sizes, accuracies, marker=".", label=["names of training lines", "other names"]
    )
    ax.set(xlabel="categories (the last: all)", title=name)
axes[0].set(ylabel="accuracy on test lines")
axes[0].legend()
plt.show()

# %%
# In both directions 50 vectors do as well as one for each token: brackets, points and equals signs say almost all.
# Forwards only, the name itself matters, and known names gain from every vector. Unknown names do not: they do best
# with 50 categories, where the shared vector was trained on all other names.
