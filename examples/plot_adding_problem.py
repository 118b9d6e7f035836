"""
The adding problem: simple cell, LSTM and GRU
=============================================

Two numbers among fifty are marked, one in each half of the sequence. The target is their sum. To predict it, a network
must remember the first number for dozens of steps, while it reads irrelevant numbers. The problem comes from the paper
that introduced the LSTM [1]_.
"""

# %%
# Each step holds a value, uniform in [0, 1), and a mark, 0 or 1; the target is the sum of the two marked values.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNRegressor
from sklearn_rnn.datasets import make_adding_problem

plt.rc("font", size=13)

N_STEPS = 50
X_train, y_train = make_adding_problem(2000, N_STEPS, random_state=0)
X_val, y_val = make_adding_problem(500, N_STEPS, random_state=1)
print(f"X {X_train.shape}: (sequences, steps, features); y {y_train.shape}")

fig, ax = plt.subplots(figsize=(7.2, 2.5), layout="constrained")
marked = X_train[0, :, 1] == 1
ax.bar(np.arange(N_STEPS), X_train[0, :, 0], color=np.where(marked, "C1", "lightgray"))
values = X_train[0, marked, 0]
ax.set(
    xlabel="step",
    ylabel="value",
    title=f"{values[0]:.3f} + {values[1]:.3f} = {y_train[0]:.3f}",
)
plt.show()

# %%
# The constant prediction 1 has a mean squared error of 1/6. This is the variance of the target: twice the variance of a
# uniform number, which is 1/12. Only a network that remembers has a smaller error.
#
# The three cells have the same training. By default a network need not remember the first number here,
# because the mean of all states reaches the output layer. So we let it predict from the last state alone, and read in
# one direction. ``fit`` takes the validation sequences and records the loss on them after every
# epoch. The loss of ``"squared_error"`` is *half* the squared error, in units of the targets' spread,
# ``target_scale_``. ``validation_loss_curve_`` does not include the penalty, so twice its values, times the square of
# the spread, are mean squared errors. (``loss_curve_`` includes the penalty. Each of its values is a mean over updates,
# and the weights changed between these updates.)

errors = {}
for cell in ("rnn", "lstm", "gru"):
    regressor = RNNRegressor(
        hidden_layer_sizes=(32,),
        cell=cell,
        bidirectional=False,
        readout="last",
        batch_size=32,
        learning_rate_init=0.01,
        max_iter=18,
        random_state=0,
    )
    regressor.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    errors[cell] = (
        2 * regressor.target_scale_**2 * np.array(regressor.validation_loss_curve_)
    )
    print(
        f"{cell:4}  validation: mean squared error {errors[cell][-1]:.5f}, R^2 "
        f"{regressor.validation_scores_[-1]:.4f}",
        flush=True,
    )

# %%

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for cell, curve in errors.items():
    ax.semilogy(np.arange(1, len(curve) + 1), curve, label=cell)
ax.axhline(1 / 6, color="black", linestyle=":", label="always predicting 1: 1/6")
ax.set(xlabel="epoch", ylabel="mean squared error (validation)", xticks=range(0, 19, 3))
ax.legend()
plt.show()

# %%
# The gated cells find the solution within a few epochs. The error of the simple cell hardly decreases in this time.
# To reach the first mark, the error at the last step must flow back through many steps. At every step it is
# multiplied by :math:`U^\top` and by a derivative of at most 1, so it becomes small
# (:doc:`/auto_tutorials/plot_bptt_three_steps`). The gated cells have another path for the error, and their gates
# decide how much of it is kept.
#
# .. rubric:: References
#
# .. [1] \S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation 9(8), 1735-1780.
