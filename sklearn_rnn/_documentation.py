"""The documentation that both estimators share, written once."""

from __future__ import annotations

import textwrap

PARAMETERS = """\
hidden_layer_sizes : int or array-like of int, default=(64,)
    Units of each recurrent layer (of each direction of it, if bidirectional), from the input on.

cell : {"gru", "lstm", "rnn"}, default="gru"
    The recurrence: gated recurrent unit [4]_, long short-term memory [3]_, or Elman's simple cell
    [1]_, h_t = f(x_t W + h_{t-1} U + b).

activation : {"tanh", "relu", "logistic", "identity"}, default="tanh"
    f of cell "rnn". The gated cells have fixed activations: leave it at "tanh" for them.

bidirectional : bool, default=False
    Whether every layer also reads the sequences from their ends. Not with ``truncation``,
    ``memory_budget`` or ``stateful``.

readout : {"last", "mean", "max", "each"}, default="last"
    What the output layer sees: h_T, the mean or the maximum of h_t over a sequence's own steps (one
    target per sequence), or every h_t (one target per step, a loss at each). Of a bidirectional
    network "last" is the final state of both directions.

step_features : int, default=1
    For 2-D X alone: features per step. Every row is a sequence of n_columns / step_features steps.

patch_size : int, default=1
    Steps of data that the network reads at once, as one network step of patch_size times the
    features; a first patch that is short begins with zeros. It shortens what the error must travel
    through, which matters most on long series. Truncation and ``hidden_states`` count network
    steps. 1 for readout "each".

dropout : float in [0, 1), default=0.0
    Share of values set to 0 between the layers and before the output layer while training; a
    sequence keeps one draw for all its steps [8]_.

truncation : int, "auto", "unbiased" or None, default=None
    Steps, h, that an error flows back through: BPTT(h; h') [5]_. None is full BPTT, to the first
    step. With readout "each" the weights are updated after every ``truncation_stride`` steps; with
    "last" the gradient flows through each sequence's own last h steps; with "mean" and "max" it is cut
    at the borders of windows. The state is carried on in every case. Cost and memory of a window
    are those of h steps. "auto" chooses h before the first epoch, and every 10 epochs again, as the
    smallest one, of at least 8, whose gradients are biased by less than ``truncation_tolerance``, by a
    bound from how fast the gradients of 32 losses decay [12]_. "unbiased" draws windows of random lengths for every
    batch, and multiplies the errors that get from step to step by 1 over the probability that they do:
    the gradients' mean over the draws is that of full BPTT [9]_, at the price of their variance.

truncation_stride : int or None, default=None
    Steps, h', between two updates (readout "each") or windows, at most ``truncation``; None is
    ``truncation``. Smaller ones give every loss more steps to flow back through, and cost h / h' times
    the work. For "unbiased" the mean number of steps of a window, 2 or more; None is 32.

truncation_tolerance : float in (0, 1), default=0.5
    For "auto": norm of what truncation leaves out of a gradient, over the norm of the gradient.

memory_budget : int, str or None, default=None
    The most that activations stored for the backward pass of a batch, and the arrays of that pass, may
    take: in bytes, or as "64MB" (B, kB, MB, GB; KiB, MiB, GiB). Where those of all steps do not fit,
    some states are kept instead, and segments of the sequences are run forward again in the backward
    pass [10]_ [11]_. The weights have the same bits as without a budget; ``memory_estimate`` tells the
    cost beforehand.

stateful : bool, default=False
    Whether sequences go on from one call of ``partial_fit`` to the next: row i of a chunk begins in the
    state that row i of the chunk before ended in. ``reset_state``, or ``new_sequence`` of
    ``partial_fit``, begins anew. A chunk's rows are trained in one batch, in their order; errors flow
    back to the chunk's first step at the most. Every call draws new ``dropout`` masks, and is an epoch
    to ``learning_rate``. ``fit`` begins every sequence anew.

clip_norm : float or None, default=1.0
    The whole gradient is rescaled to this Euclidean norm where it is larger [6]_. Ignored by "lbfgs".

clip_value : float or None, default=None
    Every component of the gradient is bounded by it, before ``clip_norm``. Ignored by "lbfgs".

solver : {"adam", "sgd", "rmsprop", "lbfgs"}, default="adam"
    Adam [7]_, gradient descent with momentum, RMSprop (its average decays by ``beta_2``), or L-BFGS
    on the whole data at once (full BPTT, no dropout).

alpha : float, default=0.0001
    Strength of the L2 penalty: alpha / 2 times the sum of squared weights, biases left out, divided
    by the batch's weight (its number of samples) like the loss.

batch_size : int or "auto", default="auto"
    Sequences per update. "auto" is min(64, n_sequences). "lbfgs" updates by all sequences, but
    goes through them batch by batch, so that memory is that of a batch.

learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default="constant"
    Schedule over epochs, counted from 1: "invscaling" is learning_rate_init / epoch**power_t;
    "adaptive" divides the rate by 5 whenever ``fit`` would stop for want of improvement, down to
    1e-6; "cosine" falls along half a cosine to 0 at ``max_iter`` (not with ``partial_fit``). Ignored by
    "lbfgs".

learning_rate_init : float, default=0.003
    The first learning rate.

power_t : float, default=0.5
    Exponent of "invscaling".

max_iter : int, default=200
    Epochs at most (iterations, for "lbfgs").

shuffle : bool, default=True
    Whether the sequences are put in a new order for every epoch.

random_state : int, RandomState instance or None, default=None
    Draws start values, order, dropout and the validation split. Pass an int for the same bits at
    every call, whatever ``n_jobs`` is.

tol : float, default=1e-4
    The least improvement of the training loss (with ``early_stopping`` of the validation score) that
    counts. "lbfgs" stops at gradients below it.

n_iter_no_change : int or inf, default=10
    Epochs without improvement after which training stops; inf for never.

early_stopping : bool, default=False
    Whether to stop by the validation score, and to keep the weights of its best epoch. The validation
    data are ``X_val`` and ``y_val`` of ``fit`` or, without them, a part of X.

validation_fraction : float in (0, 1), default=0.1
    Share of the sequences that ``early_stopping`` sets aside, by class where each has one.

momentum : float in [0, 1], default=0.9
    Of "sgd".

nesterovs_momentum : bool, default=True
    Whether "sgd" takes Nesterov's momentum.

beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
    Decay of Adam's first and second moments. "rmsprop" has ``beta_2`` alone, usually 0.9 to 0.99: it does
    not correct the second moment's start, so that its first steps are 1 / sqrt(1 - beta_2) times as long.

epsilon : float, default=1e-8
    Keeps "adam" and "rmsprop" from dividing by zero.

max_fun : int, default=15000
    Evaluations of the loss at most, for "lbfgs".

warm_start : bool, default=False
    Whether ``fit`` goes on from the present weights (with a new optimizer) instead of starting anew.

verbose : bool, default=False
    Whether to print a line an epoch: loss, validation score, gradient norm before clipping, share of
    updates that were clipped, seconds.

n_jobs : int or None, default=None
    Threads, over blocks of sequences; None is 1 unless a :func:`joblib.parallel_config` says otherwise,
    -1 is all processors. The results have the same bits for any number.
"""

ATTRIBUTES = """\
weights_ : dict of str to ndarray
    Live views of all parameters; assign in place to load weights. "layer_0.input" (n_features,
    n_gates * units), "layer_0.recurrent" (units, n_gates * units), "layer_0.bias" (n_gates * units,),
    "layer_0.recurrent_bias" (units,) for GRU, "layer_0.reverse.input" and so on if bidirectional,
    "readout.weight" (n_hidden, n_outputs), "readout.bias" (n_outputs,). Gates in the order i, f, g, o
    (LSTM) and r, z, n (GRU).

loss_, best_loss_ : float
    Training loss of the last epoch, and the smallest of all (None with ``early_stopping``). NaN for
    calls of ``partial_fit`` without any weight, as in the lists below.

truncation_ : int or None
    Steps that errors flowed back through in the last epoch: ``truncation``, the number that "auto"
    chose, or the mean number of "unbiased".

loss_curve_ : list of float
    Training loss, penalty included, of every epoch: the mean over its updates as they came. Of this and
    the lists below the last 10,000 epochs are kept (a call of ``partial_fit`` is an epoch).

validation_loss_curve_, validation_scores_ : list of float, or None
    Loss and score (accuracy or R^2) on the validation data after every epoch.

best_validation_score_ : float or None
    The best of them, whose weights were kept; with ``early_stopping`` alone.

gradient_norms_ : list of float
    Mean norm of the gradients of every epoch, before clipping.

clipped_fraction_ : float
    Share of all updates whose gradient was clipped.

n_iter_ : int
    Epochs trained, over all calls that went on from one another.

t_ : int
    Sequences seen in training.

n_outputs_ : int
    Outputs of the network.

out_activation_ : {"identity", "logistic", "softmax", "exp"}
    g in y_t = g(h_t V + c).

n_features_in_ : int
    Columns of 2-D X; for 3-D and ragged X the features per step.

feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the columns, where X was a data frame with string names.
"""

REFERENCES = """\
.. [1] J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990), 179-211.
.. [2] P. J. Werbos, "Backpropagation through time: what it does and how to do it", Proceedings of the
   IEEE 78 (1990), 1550-1560.
.. [3] F. A. Gers, J. Schmidhuber, F. Cummins, "Learning to forget: continual prediction with LSTM",
   Neural Computation 12 (2000), 2451-2471. Without peepholes.
.. [4] K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
   translation", EMNLP 2014. Here the reset gate comes after the product with U ("reset-after").
.. [5] R. J. Williams, J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent
   network trajectories", Neural Computation 2 (1990), 490-501.
.. [6] R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks",
   ICML 2013, algorithm 1.
.. [7] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
.. [8] Y. Gal, Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural
   networks", NIPS 2016.
.. [9] C. Tallec, Y. Ollivier, "Unbiasing truncated backpropagation through time", arXiv:1705.08209 (2017).
.. [10] T. Chen, B. Xu, C. Zhang, C. Guestrin, "Training deep nets with sublinear memory cost",
   arXiv:1604.06174 (2016).
.. [11] A. Gruslys, R. Munos, I. Danihelka, M. Lanctot, A. Graves, "Memory-efficient backpropagation
   through time", NIPS 2016.
.. [12] C. Aicher, N. J. Foti, E. B. Fox, "Adaptively truncating backpropagation through time to control
   gradient bias", UAI 2019.
"""


def document_rnn(cls):
    """Fill ``{parameters}``, ``{attributes}`` and ``{references}`` of a class's docstring."""
    shared = {"parameters": PARAMETERS, "attributes": ATTRIBUTES, "references": REFERENCES}
    indented = {name: textwrap.indent(text, "    ").strip() for name, text in shared.items()}
    if cls.__doc__ is not None:  # it is under python -OO
        cls.__doc__ = cls.__doc__.format(**indented)
    return cls
