"""The documentation that both estimators share, written once."""

from __future__ import annotations

import re
import textwrap
from inspect import cleandoc, signature

# numpydoc has no headings within "Parameters": the groups give the order and a list above it.
# docs/_extensions/parameter_groups.py puts headings into the pages; docs/user_guide/parameters.rst has tables.
PARAMETER_GROUPS = {
    "Architecture": """\
hidden_layer_sizes : int or array-like of int, default=(64,)
    Number of units of each recurrent layer, first layer first. A bidirectional layer has this number
    of units in each direction.

cell : {"gru", "lstm", "rnn"}, default="gru"
    The recurrence: gated recurrent unit [4]_, long short-term memory [3]_, or Elman's simple cell
    [1]_, h_t = f(x_t W + h_{t-1} U + b).

activation : {"tanh", "relu", "logistic", "identity"}, default="tanh"
    The function f of cell "rnn". The gated cells have fixed activations: leave it at "tanh" for them.

bidirectional : bool or "auto", default="auto"
    Whether every layer also reads the sequences in reverse order. Not supported together with
    ``truncation``, ``memory_budget``, ``stateful`` or ``stream``. "auto": True, unless one of the first
    three or readout "each" needs the order of time. Set False to use ``stream``.

readout : {"last", "mean", "max", "each"} or tuple of {"last", "mean", "max"}, default=("last", "mean", "max")
    Input of the output layer. "last": h_T. "mean", "max": the mean or the maximum of h_t over a
    sequence's own steps. These three have one target per sequence. A tuple, such as ("last", "max"):
    several of them, side by side. "each": every h_t, with one target and one loss per step. In a
    bidirectional network, "last" is the final state of both directions.

normalize_readout : bool, default=True
    Whether ``fit`` trains the output layer as if each of its inputs had mean 0 and spread 1. A first
    ``fit`` measures the states of the new network on the training data. The update of V is the solver's
    in units of the spread, from start values that are a tenth of the usual ones; the weights stay those
    of g(h V + c). Features that differ little between sequences are then learned as fast as others
    [14]_. A first ``partial_fit`` does not measure its chunk.

dropout : float in [0, 1), default=0.0
    Share of the values that are set to 0 in training, between the layers and before the output layer.
    All steps of a sequence share one draw [8]_.
""",
    "Sequences": """\
step_features : int, default=1
    Number of features per step, for 2-D X only. Every row is a sequence of n_columns / step_features
    steps.

categorical_features : "from_dtype", array-like of {bool, int, str} or None, default="from_dtype"
    Features of a step that are categories, by their names, indices or a mask. The network reads a vector
    for each category, an embedding, which is learned [15]_; other features stay numbers. "from_dtype":
    columns of strings, and of a dtype of categories (Categorical of pandas and polars, Enum, dictionary
    of pyarrow). None: no feature. A list of sequences of strings has one categorical feature.

categories : "auto" or list of array-like, default="auto"
    Categories of each categorical feature, in the order of the columns. "auto": those of the dtype if it
    declares them (Categorical of pandas, Enum of polars) and is the same in all sequences, otherwise
    those of the data of the first training, sorted. All unknown and missing categories share a vector.
    It is trained where the training data have such categories. Otherwise it is 0, the mean of the start
    values of the others.

embedding_size : int or "auto", default="auto"
    Numbers of the vector of a category. "auto": n for n <= 8 categories, max(8, min(50,
    round(1.6 n^0.56))) for more.

patch_size : int or "auto", default="auto"
    Number of steps of data that the network reads at once. They are one network step with patch_size
    times the features. Zeros fill the front of a patch that begins before its sequence. Patches shorten
    the error's way back through the steps, which matters most on long series. Truncation and
    ``hidden_states`` count network steps. "auto": the first training chooses ``patch_stride`` so that a
    sequence of median length has about 50 network steps, and patches of 5 strides; 1 if the stride is 1
    and, because steps have a meaning of their own, for readout "each", with ``truncation`` and with
    ``stateful``. Must be 1 or "auto" for readout "each".

patch_stride : int or None, default=None
    Number of steps from the end of a patch to the end of the next, at most ``patch_size``. With less than
    ``patch_size``, patches overlap. None: ``patch_size``, or chosen by "auto".

stateful : bool, default=False
    Whether sequences continue from one call of ``partial_fit`` to the next: row i of a chunk starts from
    the final state of row i of the previous chunk. ``reset_state``, and ``new_sequence`` of
    ``partial_fit``, reset the state. The rows of a chunk are one batch, in their order. Errors flow back
    to the first step of the chunk at most. Every call draws new ``dropout`` masks, and counts as one
    epoch for ``learning_rate``. ``fit`` starts every sequence without a state.

normalize_features : bool, default=True
    Whether ``fit`` trains the first layer as if every feature had mean 0 and spread 1 over all steps. A
    first ``fit`` measures them on the training data; a first ``partial_fit`` does not. The weights stay
    those of x W + b [14]_.
""",
    "BPTT": """\
truncation : int, "auto", "unbiased" or None, default=None
    Number of steps, h, that an error flows back: BPTT(h; h') [5]_. None is full BPTT, back to the first
    step. With readout "each" the weights are updated after every ``truncation_stride`` steps. With
    "last" the gradient flows through each sequence's own last h steps. With "mean", "max" or several
    readouts the gradient stops at the borders of windows. The state always continues. The cost and
    memory of a window are those of h steps. "auto" chooses h before the first epoch, and again every 10
    epochs: the smallest h, of at least 8, for which the bias of the gradient is below
    ``truncation_tolerance``. It bounds the bias by the decay of the gradients of 32 losses [12]_.
    "unbiased" draws windows of random lengths for every batch. It multiplies each error that flows back
    to an earlier step by 1 over the probability that it does. So the mean of the gradients over the
    draws is the gradient of full BPTT [9]_, but the variance is larger.

truncation_stride : int or None, default=None
    Number of steps, h', between two updates (readout "each") or windows, at most ``truncation``. None is
    ``truncation``. With a smaller stride every loss flows back through more steps; the work is h / h'
    times as much. With "unbiased" it is the mean number of steps of a window, 2 or more; None is 32.

truncation_tolerance : float in (0, 1), default=0.5
    For "auto": the norm of the omitted part of a gradient, divided by the norm of the gradient.

memory_budget : int, str or None, default=None
    The largest memory, for the backward pass of a batch, of the stored activations and the work arrays:
    in bytes, or as "64MB" (B, kB, MB, GB; KiB, MiB, GiB). If the activations of all steps do not fit,
    training stores some states instead, and the backward pass runs segments of the sequences forward
    again [10]_ [11]_. The weights have the same bits as without a budget. ``memory_estimate`` returns
    the cost before training.
""",
    "Optimizer": """\
solver : {"adam", "sgd", "rmsprop", "lbfgs"}, default="adam"
    Adam [7]_, gradient descent with momentum, RMSprop (its average decays by ``beta_2``), or L-BFGS
    on the whole data at once (full BPTT, no dropout).

alpha : float, default=0.0001
    Strength of the L2 penalty: alpha / 2 times the sum of the squared weights, without the biases. Like
    the loss, it is divided by the total weight of the batch (its number of samples). The weights of
    AdaBoostClassifier sum to 1, so there alpha counts n_sequences times as much, and boosting may end early
    without a warning: divide alpha by n_sequences.

batch_size : int or "auto", default="auto"
    Number of sequences per update. "auto" is min(64, n_sequences). "lbfgs" updates by all sequences, but
    computes the gradient batch by batch, so it needs the memory of one batch only.

shuffle : bool, default=True
    Whether every epoch draws a new order of the sequences.

learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default="cosine"
    Schedule over epochs, counted from 1. "invscaling" is learning_rate_init / epoch**power_t.
    "adaptive" divides the rate by 5 whenever ``fit`` would stop because of no improvement, down to 1e-6.
    "cosine" decreases along half a cosine to 0 at ``max_iter``, and training goes to this end unless
    ``early_stopping`` stops it. ``partial_fit``, which knows no end, keeps ``learning_rate_init``. Ignored
    by "lbfgs".

learning_rate_init : float, default={learning_rate_init}
    The first learning rate. The classifier's default is 0.003 and the regressor's 0.01.

power_t : float, default=0.5
    Exponent of "invscaling".

clip_norm : float, "auto" or None, default="auto"
    If the Euclidean norm of the whole gradient is larger, the gradient is rescaled to this norm [6]_.
    "auto": 1.0, or 1e9 if ``clip_update`` limits the steps, which only prevents an overflow. Ignored by
    "lbfgs".

clip_value : float or None, default=None
    Largest absolute value of each component of the gradient, applied before ``clip_norm``. Ignored by
    "lbfgs".

clip_update : float or None, default=1.0
    Limit of the steps of "adam" and "rmsprop" at sudden large gradients: of the root mean square of the
    gradient's components, each divided by the root of its second moment [13]_. If it is larger, the
    learning rate of this update is divided by the quotient. 1.0 is usual; then ``clip_norm`` should be None
    or large, because a clipped gradient hides from the second moment that a step was too long.

momentum : float in [0, 1], default=0.9
    Momentum of "sgd".

nesterovs_momentum : bool, default=True
    Whether "sgd" uses Nesterov's momentum.

beta_1 : float in [0, 1), default=0.9
    Decay of Adam's first moment.

beta_2 : float in [0, 1), default=0.99
    Decay of Adam's second moment, and of the average of "rmsprop" (usually 0.9 to 0.99). "rmsprop" does
    not correct the start of this average: its first steps are 1 / sqrt(1 - beta_2) times as long.

epsilon : float, default=1e-8
    Keeps "adam" and "rmsprop" from dividing by zero.
""",
    "Stopping": """\
max_iter : int, default=100
    Number of epochs for ``learning_rate="cosine"``, else the largest number of epochs (of iterations, for
    "lbfgs").

max_fun : int, default=15000
    Largest number of evaluations of the loss, for "lbfgs".

tol : float, default=1e-4
    Smallest decrease of the training loss that counts as an improvement; with ``early_stopping``, the
    smallest increase of the validation score. "lbfgs" stops if no component of the gradient exceeds it.

n_iter_no_change : int or inf, default=10
    Number of epochs without improvement after which training stops; inf for never. With
    ``learning_rate="cosine"`` only for ``early_stopping``.

early_stopping : bool, default=False
    Whether to stop by the validation score, and to keep the weights of its best epoch. The validation
    data are ``X_val`` and ``y_val`` of ``fit`` or, without them, a part of X.

validation_fraction : float in (0, 1), default=0.1
    Share of the sequences that ``early_stopping`` sets aside. They are drawn by class if each sequence
    has one class.

scoring : str, callable or None, default=None
    Score of the validation data, for ``early_stopping`` and ``validation_scores_``: the name of a scorer
    of scikit-learn (:func:`~sklearn.metrics.get_scorer_names`), "loss" for the negative validation loss,
    or a callable ``scoring(estimator, X, y)`` whose greater values are better. Its X has been read by the
    package: use it for methods of the estimator only. Sample weights that are not all 1, those of
    ``class_weight`` among them, are passed on as ``sample_weight``. None: accuracy or R^2. With readout "each" see
    :func:`~sklearn_rnn.metrics.make_step_scorer`.
""",
    "Running": """\
random_state : int, RandomState instance or None, default=None
    Source of the start values, the order, dropout and the validation split. Pass an int for the same
    bits at every call, for any ``n_jobs``.

n_jobs : int or None, default=None
    Number of threads. They share the sequences of a batch, or compute the blocks of a large one. None is 1
    unless a :func:`joblib.parallel_config` sets another number for this machine (those of dask and ray count
    the cores of a cluster). -1 is all processors. The results have the same bits for any number.

warm_start : bool, default=False
    Whether ``fit`` continues from the current weights (with a new optimizer) instead of new ones.

verbose : bool or int, default=False
    1 or True: print the data and the model, one line per epoch (loss, validation loss and score, gradient
    norm before clipping, share of clipped updates, seconds), and why training ended. 2: only a longer line
    per epoch.
""",
}

PARAMETERS = "\n".join(PARAMETER_GROUPS.values())

ATTRIBUTES = """\
weights_ : dict of str to ndarray
    Views of all current parameters. Assign in place to load weights. Training makes new parameters:
    read ``weights_`` again after it. "layer_0.input" (n_features, n_gates * units), "layer_0.recurrent"
    (units, n_gates * units), "layer_0.bias" (n_gates * units,), "layer_0.recurrent_bias" (units,) for
    GRU, "layer_0.reverse.input" and so on if bidirectional, "readout.weight" (n_hidden, n_outputs; with
    several readouts n_hidden rows for each, in their order), "readout.bias" (n_outputs,). The gates are
    in the order i, f, g, o (LSTM) and r, z, n (GRU).

loss_, best_loss_ : float
    Training loss of the last epoch, and the smallest training loss of all epochs (None with
    ``early_stopping``). A call of ``partial_fit`` without any weight gives NaN, as in the lists below.

is_categorical_ : ndarray of shape (step_features,), bool, or None
    Mask of the categorical features of a step. None if there are none.

categories_ : list of ndarray, or None
    Categories of each categorical feature, in the order of the columns. None if there are none. The
    vectors of feature "kind" are ``weights_["embedding.kind"]``, (n_categories + 1, embedding_size); of
    a feature without a name, ``weights_["embedding.0"]`` by its index. The first vector stands for
    unknown and missing categories.

patch_size_, patch_stride_ : int
    Number of steps of a patch, and from the end of a patch to the end of the next.

truncation_ : int or None
    Number of steps that errors flowed back in the last epoch: ``truncation``, the number that "auto"
    chose, or the mean number of "unbiased".

loss_curve_ : list of float
    Training loss of every epoch, including the penalty: the mean over its updates, computed at each
    update. This list and the lists below keep the last 10,000 epochs (a call of ``partial_fit`` is an
    epoch).

validation_loss_curve_, validation_scores_ : list of float, or None
    Loss and score (accuracy or R^2, or ``scoring``) on the validation data after every epoch.

best_validation_score_ : float or None
    The best validation score; the weights of its epoch were kept. Only with ``early_stopping``.

gradient_norms_ : list of float
    Mean norm of the gradients of every epoch, before clipping.

clipped_fraction_ : float
    Share of all updates whose gradient was clipped.

n_iter_ : int
    Number of epochs, over all calls that continued from one another.

t_ : int
    Number of sequences seen in training.

n_outputs_ : int
    Number of outputs of the network.

out_activation_ : {"identity", "logistic", "softmax", "exp"}
    The function g in y_t = g(h_t V + c). A regressor with ``normalize_y`` also shifts and scales h_t V + c.

n_features_in_ : int
    Number of columns of 2-D X; number of features per step of 3-D and ragged X.

feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the columns of 2-D X or, for a list of data frames, of the features of a step. Only if X was a data frame,
    or a list of data frames, with string names.
"""

REFERENCES = """\
.. [1] J. L. Elman, "Finding structure in time", Cognitive Science 14
   (1990), 179-211.
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
.. [7] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015,
   algorithm 1.
.. [8] Y. Gal, Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural
   networks", NIPS 2016.
.. [9] C. Tallec, Y. Ollivier, "Unbiasing truncated backpropagation through time",
   arXiv:1705.08209 (2017).
.. [10] T. Chen, B. Xu, C. Zhang, C. Guestrin, "Training deep nets with sublinear memory cost",
   arXiv:1604.06174 (2016).
.. [11] A. Gruslys, R. Munos, I. Danihelka, M. Lanctot, A. Graves, "Memory-efficient backpropagation
   through time", NIPS 2016.
.. [12] C. Aicher, N. J. Foti, E. B. Fox, "Adaptively truncating backpropagation through time to control
   gradient bias", UAI 2019.
.. [13] N. Shazeer, M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018,
   section 6.
.. [14] Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", in: Neural Networks: Tricks of the
   Trade, Springer 1998, sections 4.3 and 5.
.. [15] Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin, "A neural probabilistic language model", Journal of
   Machine Learning Research 3 (2003), 1137-1155.
"""


def names_of(descriptions):
    """Return the names of the parameters that a text describes, in their order."""
    return re.findall(r"^(\w+) : ", descriptions, re.MULTILINE)


def own_parameters(cls):
    """Return the names of the parameters that a class has besides the shared ones; None if it has not all of those."""
    shared, names = names_of(PARAMETERS), list(signature(cls).parameters)
    return [name for name in names if name not in shared] if set(shared) <= set(names) else None


def document_rnn(cls):
    """Fill ``{groups}``, ``{parameters}``, ``{attributes}`` and ``{references}`` of a class's docstring."""
    rate = str(signature(cls).parameters["learning_rate_init"].default)
    shared = {
        "groups": list_of_groups(cls),
        "parameters": PARAMETERS.replace("{learning_rate_init}", rate),
        "attributes": ATTRIBUTES,
        "references": REFERENCES,
    }
    if cls.__doc__ is not None:  # it is under python -OO
        # Python 3.13 takes the indentation away when it compiles, earlier ones leave it.
        cls.__doc__ = cleandoc(cls.__doc__).format(**{name: text.strip() for name, text in shared.items()})
    return cls


def list_of_groups(cls):
    """Return a list of the parameters by group, for the docstring of an estimator."""
    groups = {title: names_of(text) for title, text in PARAMETER_GROUPS.items()}
    groups["Of this estimator alone"] = own_parameters(cls)
    items = (f"* {title}: {', '.join(names)}" for title, names in groups.items())
    return "\n".join(textwrap.fill(item, width=100, subsequent_indent="  ") for item in items)
