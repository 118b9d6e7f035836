"""
A Dask cluster: from parts of data to a plain model
===================================================

Data that outgrow one machine are cut into parts, which stay on the workers of a Dask cluster. Here the cluster is this
machine, with two workers. On another one only the line that makes the cluster changes.

* the data in parts: a bag of sequences of different lengths,
* training on all parts, with updates that all workers share, and with parts that train by themselves,
* predictions, which are computed when they are asked for,
* the same bits on one worker,
* a plain estimator in a pickle, for a machine without Dask.

It needs Dask (``pip install "sklearn-rnn[dask]"``), and runs in a few seconds.
"""

# %%
# The cluster and the data
# ------------------------
#
# Nine men said the Japanese vowels /ae/; the task is to find the speaker. The bags have four parts each. Large data are
# read by the workers, from files: ``dask.bag``, ``dask.array`` and ``dask.dataframe`` have functions for this.
#
# The workers of this page are threads of one process, which start fast. In a program of your own, leave
# ``processes=False`` out, and put the program below ``if __name__ == "__main__":``.

import pickle

import dask.bag as db
import matplotlib.pyplot as plt
import numpy as np
from distributed import Client, LocalCluster

from sklearn_rnn.dask import DaskRNNClassifier
from sklearn_rnn.datasets import load_japanese_vowels

plt.rc("font", size=13)

X_train, y_train = load_japanese_vowels(subset="train", return_X_y=True)
X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
order = np.random.default_rng(0).permutation(len(X_train))  # each part has all speakers
X = db.from_sequence([X_train[i] for i in order], partition_size=68)
y = db.from_sequence(y_train[order].tolist(), partition_size=68)

options = {"processes": False, "threads_per_worker": 1, "dashboard_address": ":0"}
cluster = LocalCluster(n_workers=2, **options)
client = Client(cluster)
print(X)

# %%
# Training
# --------
#
# Each update takes a share of every part, in proportion to their sizes. The gradients of the parts are added, so this is
# the update of one batch of 64 sequences.

settings = {"hidden_layer_sizes": 32, "max_iter": 10, "random_state": 0}
clf = DaskRNNClassifier(**settings, client=client).fit(X, y)
print(f"accuracy on the test utterances: {clf.score(X_test, y_test):.3f}")

# %%
# With ``local_updates`` each part trains by itself for some updates, and then their weights are averaged. Workers wait
# for each other less often. A part has 68 sequences here, so that batches of 16 make five updates of an epoch.

local = DaskRNNClassifier(**settings, client=client, local_updates=5, batch_size=16)
local.fit(X, y)
print(f"accuracy on the test utterances: {local.score(X_test, y_test):.3f}")

fig, ax = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
for name, estimator in (("updates of all parts", clf), ("local updates", local)):
    ax.plot(range(1, 1 + estimator.n_iter_), estimator.loss_curve_, label=name)
ax.set(xlabel="epoch", ylabel="loss", ylim=0)
ax.legend()
plt.show()

# %%
# Predictions are lazy
# --------------------
#
# For a bag they are a bag, for an array an array. Each part is predicted where it is.

predicted = clf.predict(X)
print(predicted, [int(speaker) for speaker in predicted.take(3)])
print(f"accuracy on the parts: {clf.score(X, y):.3f}")

# %%
# The same bits on any cluster
# ----------------------------
#
# What a worker computes depends on the part, the weights, the seed and the number of the update, and on nothing else.

with LocalCluster(n_workers=1, **options) as one_worker, Client(one_worker) as other:
    again = DaskRNNClassifier(**settings, client=other).fit(X, y)
same = all(np.array_equal(again.weights_[name], w) for name, w in clf.weights_.items())
print(f"the same bits on one worker: {same}")

# %%
# A plain model
# -------------
#
# ``to_local`` returns an RNNClassifier. Its pickle needs no Dask, and :func:`sklearn_rnn.save` takes it too.

client.close()
cluster.close()
pickled = pickle.dumps(clf.to_local())
model = pickle.loads(pickled)
print(model)
print(f"{len(pickled):,} bytes; accuracy: {model.score(X_test, y_test):.3f}")
