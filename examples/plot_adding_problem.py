"""
The adding problem: simple cell, LSTM and GRU
=============================================

Two numbers among fifty are marked, one in each half of the sequence: what is their sum? To answer, a network must
keep the first number over dozens of steps, past distractors. The problem comes from the paper that introduced the
LSTM [1]_.
"""

# %%
# Each step holds a value, uniform in [0, 1), and a mark, 0 or 1; the target is the sum of the two marked values.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor
from sklearn_rnn.datasets import make_adding_problem

N_STEPS = 50
X_train, y_train = make_adding_problem(2000, N_STEPS, random_state=0)
X_val, y_val = make_adding_problem(500, N_STEPS, random_state=1)
print(f"X {X_train.shape}: (sequences, steps, features); y {y_train.shape}")

fig, ax = plt.subplots(figsize=(9, 2.5), layout="constrained")
marked = X_train[0, :, 1] == 1
ax.bar(np.arange(N_STEPS), X_train[0, :, 0], color=np.where(marked, "C1", "lightgray"))
values = X_train[0, marked, 0]
ax.set(xlabel="step", ylabel="value", title=f"{values[0]:.3f} + {values[1]:.3f} = {y_train[0]:.3f}")
plt.show()

# %%
# Who always answers 1 has a mean squared error of 1/6, the variance of the target (twice the variance 1/12 of a
# uniform number). Only a network that remembers gets below.
#
# The three cells are trained alike. The validation sequences are passed to ``fit``, which records the loss on
# them after every epoch. The loss of ``"squared_error"`` is *half* the squared error; ``validation_loss_curve_``
# holds no penalty, so twice its values are mean squared errors. (``loss_curve_`` holds the penalty too, and each of
# its values is a mean over updates, between which the weights changed.)

errors = {}
for cell in ("rnn", "lstm", "gru"):
    regressor = RNNRegressor(
        hidden_layer_sizes=(32,),
        cell=cell,
        batch_size=32,
        learning_rate_init=0.01,
        learning_rate="cosine",
        max_iter=25,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    regressor.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    errors[cell] = 2 * np.array(regressor.validation_loss_curve_)
    print(
        f"{cell:4}  validation: mean squared error {errors[cell][-1]:.5f}, R^2 {regressor.validation_scores_[-1]:.4f}  "
        f"(updates clipped: {regressor.clipped_fraction_:.1%})",
        flush=True,
    )

# %%

fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for cell, curve in errors.items():
    ax.semilogy(np.arange(1, len(curve) + 1), curve, label=cell)
ax.axhline(1 / 6, color="black", linestyle=":", label="always answering 1: 1/6")
ax.set(xlabel="epoch", ylabel="mean squared error (validation)")
ax.legend()
plt.show()

# %%
# The gated cells stay near 1/6 for some epochs and then find the solution; the simple cell does not get far from it
# in this time. The error that must travel back from the answer to the first mark is multiplied at every step by
# :math:`U^\top` and a derivative of at most 1, and fades on the way (:doc:`/auto_tutorials/plot_bptt_three_steps`). In
# the gated cells it has a path on which the gates decide what is kept.
#
# .. rubric:: References
#
# .. [1] S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation 9(8), 1735-1780.
