"""Comparison with torch: the same weights give the same outputs, gradients and training."""

import numpy as np
import pandas as pd
import pytest
from helpers import (
    RAGGED,
    assert_all_close,
    copied,
    import_torch,
    largest_relative_difference,
    make_dataset,
    make_network,
    make_sequences,
    plain_classifier,
    plain_regressor,
    randomize,
    updates_of,
)
from numpy.testing import assert_allclose

from sklearn_rnn._training.losses import REGRESSION_LOSSES, BinaryLogLoss, MulticlassLogLoss

torch = import_torch()

pytestmark = [
    pytest.mark.torch,
    # Training ends after a fixed number of epochs, without a test for convergence.
    pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning"),
]

CELLS = [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]
READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]
EQUAL = (4, 4, 4)
N_FEATURES = 2
N_CLASSES = 3

each_cell = pytest.mark.parametrize(("cell", "activation"), CELLS)
each_readout = pytest.mark.parametrize("readout", READOUTS)
each_depth = pytest.mark.parametrize("sizes", [(3,), (4, 3)], ids=["1 layer", "2 layers"])
each_direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
each_raggedness = pytest.mark.parametrize("lengths", [EQUAL, RAGGED], ids=["equal", "ragged"])


@pytest.fixture
def compare(record_difference):
    """Assert that named arrays are close, and record their largest difference for the summary."""

    def compare(category, actual, expected, *, rtol):
        record_difference(category, largest_relative_difference(actual, expected))
        assert_all_close(actual, expected, rtol=rtol)

    return compare


# ---- The network in torch ----------------------------------------------------------------------------


class TorchNetwork:
    """torch.nn layers and a linear output, computed from tensors in the layout of ``weights_``.

    ``tensors`` are the leaves of autograd: their gradients compare with ours name by name, and torch's
    optimizers train them.
    """

    def __init__(self, weights, cell, activation, readout):
        self.tensors = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
        self.cell, self.readout = cell, readout
        n_layers = len({name.split(".")[0] for name in weights}) - 1
        self.is_bidirectional = "layer_0.reverse.input" in weights
        self.modules = []
        for depth in range(n_layers):
            n_features = len(weights[f"layer_{depth}.input"])
            n_units = len(weights[f"layer_{depth}.recurrent"])
            options = {"bidirectional": self.is_bidirectional, "dtype": torch.float64}
            if cell == "rnn":
                options["nonlinearity"] = activation
            module = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
            self.modules.append(module(n_features, n_units, **options))

    def arrays(self):
        return {name: tensor.detach().numpy().copy() for name, tensor in self.tensors.items()}

    def gradients(self):
        return {name: tensor.grad.numpy().copy() for name, tensor in self.tensors.items()}

    def _torch_parameters(self, depth):
        """The layer's parameters in torch's layout: transposed, and with a second bias."""
        parameters = {}
        for suffix, prefix in (("", f"layer_{depth}."), ("_reverse", f"layer_{depth}.reverse.")):
            if suffix and not self.is_bidirectional:
                continue
            bias = self.tensors[prefix + "bias"]
            second_bias = torch.zeros_like(bias)
            if self.cell == "gru":
                candidate = self.tensors[prefix + "recurrent_bias"]
                second_bias = torch.cat([second_bias[: 2 * len(candidate)], candidate])
            parameters |= {
                f"weight_ih_l0{suffix}": self.tensors[prefix + "input"].T,
                f"weight_hh_l0{suffix}": self.tensors[prefix + "recurrent"].T,
                f"bias_ih_l0{suffix}": bias,
                f"bias_hh_l0{suffix}": second_bias,
            }
        return parameters

    def run(self, x, states=None):
        """Layers over a (n_steps, n, features) tensor, a packed batch, or one sequence (n_steps, features).

        Returns the last layer's output and the final state of every layer.
        """
        final_states = []
        for depth, module in enumerate(self.modules):
            state = None if states is None else states[depth]
            x, state = torch.func.functional_call(module, self._torch_parameters(depth), (x, state))
            final_states.append(state)
        return x, final_states

    def hidden(self, sequences):
        """h of the last layer, one (n_steps_i, n_hidden) for each sequence, and after the last step."""
        x = [torch.as_tensor(sequence) for sequence in sequences]
        if len({len(sequence) for sequence in x}) == 1:
            output, states = self.run(torch.stack(x, dim=1))
            hidden = list(output.unbind(dim=1))
        else:
            packed = torch.nn.utils.rnn.pack_sequence(x, enforce_sorted=False)
            output, states = self.run(packed)
            padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(output)
            hidden = [padded[:n, i] for i, n in enumerate(lengths.tolist())]
        return hidden, self.last_of(states)

    def last_of(self, states):
        """torch's h_n of the last layer, both directions side by side."""
        h_n = states[-1][0] if self.cell == "lstm" else states[-1]
        return torch.cat(list(h_n), dim=-1)

    def pooled(self, hidden, last):
        if self.readout == "each":
            return torch.cat(hidden)
        pools = {
            "last": last,
            "mean": torch.stack([h.mean(dim=0) for h in hidden]),
            "max": torch.stack([h.max(dim=0).values for h in hidden]),
        }
        names = (self.readout,) if isinstance(self.readout, str) else self.readout
        return torch.cat([pools[name] for name in names], dim=1)

    def output(self, pooled):
        return pooled @ self.tensors["readout.weight"] + self.tensors["readout.bias"]

    def scores(self, sequences):
        return self.output(self.pooled(*self.hidden(sequences)))

    def penalty(self):
        return sum((tensor**2).sum() for tensor in self.tensors.values() if tensor.ndim > 1) / 2


def torch_losses(loss, scores, targets):
    """Losses of every sample, by torch's functions; multiclass targets are class indices."""
    functional = torch.nn.functional
    if loss == "multiclass":
        return functional.cross_entropy(scores, targets, reduction="none")
    if loss == "binary":
        with_logits = functional.binary_cross_entropy_with_logits
        return with_logits(scores, targets, reduction="none").sum(dim=1)
    if loss == "poisson":
        losses = functional.poisson_nll_loss(scores, targets, reduction="none")
        constant = torch.special.xlogy(targets, targets) - targets
        return (losses + constant).mean(dim=1)
    function = {
        "squared_error": lambda *a, **k: functional.mse_loss(*a, **k) / 2,
        "absolute_error": functional.l1_loss,
        "huber": functional.huber_loss,
    }[loss]
    return function(scores, targets, reduction="none").mean(dim=1)


def detached(states):
    """Detached states: no gradient flows through them."""
    if isinstance(states, (list, tuple)):
        return type(states)(detached(state) for state in states)
    return states.detach()


# ---- Data --------------------------------------------------------------------------------------------


def make_labels(sequences, readout, seed=5):
    """Labels 0, 1, 2, each present: one for each sequence, or for each of its steps."""
    generator = np.random.default_rng(seed)
    n = sum(map(len, sequences)) if readout == "each" else len(sequences)
    labels = generator.permutation(np.arange(n) % N_CLASSES)
    if readout != "each":
        return labels
    return np.split(labels, np.cumsum([len(sequence) for sequence in sequences])[:-1])


def make_weights(n, seed=6):
    """Sample weights; one of them is zero."""
    weights = np.random.default_rng(seed).uniform(0.5, 2, n)
    weights[-1] = 0
    return weights


def with_random_weights(estimator, X, y):
    """The estimator, fitted for one epoch; its weights are then replaced by random ones."""
    estimator.fit(X, y)
    randomize(estimator.weights_)
    return estimator


# ---- Outputs and gradients ---------------------------------------------------------------------------


@each_cell
@each_depth
@each_direction
@each_raggedness
@each_readout
def test_outputs_are_those_of_torch(cell, activation, sizes, bidirectional, lengths, readout, compare):
    sequences = make_sequences(lengths)
    y = make_labels(sequences, readout)
    X = np.stack(sequences) if lengths == EQUAL else sequences
    classifier = plain_classifier(
        sizes,
        cell=cell,
        activation=activation,
        bidirectional=bidirectional,
        readout=readout,
        max_iter=1,
        random_state=0,
    )
    with_random_weights(classifier, X, y)
    witness = TorchNetwork(classifier.weights_, cell, activation, readout)
    with torch.no_grad():
        hidden, last = witness.hidden(sequences)
        probabilities = witness.output(witness.pooled(hidden, last)).softmax(dim=1)
    actual = {
        "hidden states": np.concatenate(list(classifier.hidden_states(X))),
        "probabilities": np.concatenate(list(classifier.predict_proba(X))).reshape(-1, N_CLASSES),
    }
    expected = {"hidden states": torch.cat(hidden).numpy(), "probabilities": probabilities.numpy()}
    compare("outputs", actual, expected, rtol=1e-9)


@each_cell
@each_depth
@each_direction
@each_raggedness
@each_readout
def test_gradients_of_all_parameters_are_those_of_torch(
    cell, activation, sizes, bidirectional, lengths, readout, compare
):
    sequences = make_sequences(lengths)
    labels = np.hstack(make_labels(sequences, readout))
    weights = make_weights(len(labels))
    network = make_network(
        cell,
        activation,
        sizes=sizes,
        n_outputs=N_CLASSES,
        bidirectional=bidirectional,
        readout=readout,
    )
    dataset = make_dataset(sequences, np.eye(N_CLASSES)[labels], weights, per_step=readout == "each")
    (update,) = updates_of(network, MulticlassLogLoss(), dataset)

    witness = TorchNetwork(network.parameters.views, cell, activation, readout)
    losses = torch_losses("multiclass", witness.scores(sequences), torch.as_tensor(labels))
    loss = (losses * torch.as_tensor(weights)).sum()
    loss.backward()
    assert_allclose(update.loss, loss.item(), rtol=1e-12, atol=0)
    compare("gradients", update.gradient, witness.gradients(), rtol=1e-9)


@pytest.mark.parametrize("loss", ["binary", *REGRESSION_LOSSES])
def test_values_and_gradients_of_every_loss_are_those_of_torch(loss, compare):
    sequences = make_sequences()
    generator = np.random.default_rng(3)
    targets = 2 * generator.normal(size=(len(sequences), 2))
    if loss == "poisson":
        targets = np.round(np.abs(targets))  # with a zero
        assert not targets.all()
    if loss == "binary":
        targets = (targets > 0).astype(float)
    weights = make_weights(len(sequences))
    network = make_network("gru", readout="mean")
    our_loss = BinaryLogLoss() if loss == "binary" else REGRESSION_LOSSES[loss]()
    (update,) = updates_of(network, our_loss, make_dataset(sequences, targets, weights))

    witness = TorchNetwork(network.parameters.views, "gru", "tanh", "mean")
    losses = torch_losses(loss, witness.scores(sequences), torch.as_tensor(targets))
    expected = (losses * torch.as_tensor(weights)).sum()
    expected.backward()
    assert_allclose(update.loss, expected.item(), rtol=1e-12, atol=0)
    compare("gradients", update.gradient, witness.gradients(), rtol=1e-9)


# ---- Training ----------------------------------------------------------------------------------------

SOLVERS = {
    "sgd": (
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False, "learning_rate_init": 0.05},
        lambda tensors: torch.optim.SGD(tensors, lr=0.05, momentum=0.9),
    ),
    "sgd with Nesterov's momentum": (
        {"solver": "sgd", "momentum": 0.8, "nesterovs_momentum": True, "learning_rate_init": 0.05},
        lambda tensors: torch.optim.SGD(tensors, lr=0.05, momentum=0.8, nesterov=True),
    ),
    "adam": (
        {
            "solver": "adam",
            "beta_1": 0.8,
            "beta_2": 0.95,
            "epsilon": 1e-6,
            "learning_rate_init": 0.02,
        },
        lambda tensors: torch.optim.Adam(tensors, lr=0.02, betas=(0.8, 0.95), eps=1e-6),
    ),
    "rmsprop": (
        {"solver": "rmsprop", "beta_2": 0.95, "epsilon": 1e-6, "learning_rate_init": 0.01},
        lambda tensors: torch.optim.RMSprop(tensors, lr=0.01, alpha=0.95, eps=1e-6),
    ),
}


def train(estimator, X, y, sample_weight=None, n_epochs=20):
    """Train for so many epochs, of one batch each, from random weights; return the weights at the start.

    The first epoch is one of ``fit`` with ``warm_start``, where the optimizer begins anew.
    """
    estimator.set_params(max_iter=1, warm_start=True, random_state=0, batch_size=len(X))
    with_random_weights(estimator, X, y)
    start = copied(estimator.weights_)
    estimator.fit(X, y, sample_weight=sample_weight)
    for _ in range(n_epochs - 1):
        estimator.partial_fit(X, y, sample_weight=sample_weight)
    return start


def torch_update(witness, optimizer, mean_loss, clip_value=None, clip_norm=None):
    """One update; return whether the gradient was clipped by value and by norm.

    torch's clip_grad_norm_ is not used: it adds 1e-6 to the norm.
    """
    optimizer.zero_grad()
    mean_loss.backward()
    tensors = list(witness.tensors.values())
    by_value = by_norm = False
    if clip_value is not None:
        by_value = any((tensor.grad.abs() > clip_value).any().item() for tensor in tensors)
        for tensor in tensors:
            tensor.grad.clamp_(-clip_value, clip_value)
    if clip_norm is not None:
        norm = torch.cat([tensor.grad.ravel() for tensor in tensors]).norm()
        by_norm = bool(norm > clip_norm)
        if by_norm:
            for tensor in tensors:
                tensor.grad *= clip_norm / norm
    optimizer.step()
    return by_value, by_norm


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("cell", "bidirectional", "readout"),
    [("lstm", False, "last"), ("gru", True, "mean"), ("rnn", False, "each")],
)
def test_weights_after_20_updates_are_those_of_torch(cell, bidirectional, readout, solver, alpha, compare):
    sequences = make_sequences((4, 1, 3))
    generator = np.random.default_rng(7)
    lengths = [len(sequence) for sequence in sequences]
    targets = 3 * generator.normal(size=(sum(lengths) if readout == "each" else len(lengths), 2))
    y = np.split(targets, np.cumsum(lengths)[:-1]) if readout == "each" else targets
    sample_weight = make_weights(len(sequences))
    weights = np.repeat(sample_weight, lengths) if readout == "each" else sample_weight
    settings, make_optimizer = SOLVERS[solver]
    clipping = {"clip_value": 0.1, "clip_norm": 0.2}
    regressor = plain_regressor(
        (3, 2),
        cell=cell,
        bidirectional=bidirectional,
        readout=readout,
        alpha=alpha,
        normalize_y=False,  # torch gets the targets themselves
        **settings,
        **clipping,
    )
    start = train(regressor, sequences, y, sample_weight)

    witness = TorchNetwork(start, cell, "tanh", readout)
    optimizer = make_optimizer(list(witness.tensors.values()))
    y, weights = torch.as_tensor(targets), torch.as_tensor(weights)
    n_clipped = np.zeros(2, int)
    for _ in range(20):
        losses = torch_losses("squared_error", witness.scores(sequences), y)
        mean_loss = ((losses * weights).sum() + alpha * witness.penalty()) / weights.sum()
        n_clipped += torch_update(witness, optimizer, mean_loss, **clipping)
    assert n_clipped.min() > 0  # gradients were clipped by value and by norm
    compare("20 updates", regressor.weights_, witness.arrays(), rtol=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(("cell", "bidirectional"), [("rnn", False), ("lstm", True), ("gru", False)])
def test_weights_and_unknown_targets_of_steps_are_weighted_losses_of_torch(cell, bidirectional, solver, compare):
    sequences = make_sequences((4, 1, 3, 6))
    ends = np.cumsum([len(sequence) for sequence in sequences])[:-1]
    generator = np.random.default_rng(7)
    targets, weights = generator.normal(size=(14, 2)), generator.uniform(0.5, 2, size=14)
    weights[[2, 8]] = 0
    is_known = np.ones(14, bool)
    is_known[[0, 4, 7, 13]] = False  # the second sequence has no target
    y = np.where(is_known[:, None], targets, np.nan)
    settings, make_optimizer = SOLVERS[solver]
    regressor = plain_regressor(
        (3, 2), cell=cell, bidirectional=bidirectional, readout="each", normalize_y=False, **settings
    )
    start = train(regressor, sequences, np.split(y, ends), np.split(weights, ends))

    witness = TorchNetwork(start, cell, "tanh", "each")
    optimizer = make_optimizer(list(witness.tensors.values()))
    weights = torch.as_tensor(weights * is_known)
    for _ in range(20):
        losses = torch_losses("squared_error", witness.scores(sequences), torch.as_tensor(targets))
        mean_loss = ((losses * weights).sum() + regressor.alpha * witness.penalty()) / weights.sum()
        torch_update(witness, optimizer, mean_loss, clip_norm=regressor.clip_norm)
    compare("20 updates", regressor.weights_, witness.arrays(), rtol=1e-9)


# ---- Truncation --------------------------------------------------------------------------------------


def windows_of(n_steps, truncation, stride=None):
    """(start, loss_start, stop): at every stop the losses since the last one flow back through h steps."""
    stride = stride or truncation
    stops = [*range(stride, n_steps, stride), n_steps]
    return [(max(0, stop - truncation), loss_start, stop) for loss_start, stop in zip([0, *stops], stops, strict=False)]


def run_steps(witness, x, state, start, stop):
    """One sequence's hidden states from ``start`` to ``stop``, or to its end, and its state after them."""
    if start >= min(stop, len(x)):
        return x.new_zeros((0, 0)), state
    return witness.run(x[start:stop], state)


def losses_of_window(witness, x, labels, state, window, next_start):
    """One sequence's losses in a window, and the state in which the next one, at ``next_start``, begins."""
    start, loss_start, stop = window
    head, between = run_steps(witness, x, state, start, next_start)
    tail, _ = run_steps(witness, x, between, next_start, stop)
    next_state = None if between is None else detached(between)
    labels = labels[loss_start:stop]
    if not len(labels):
        return x.new_zeros(0), next_state
    hidden = torch.cat([part for part in (head, tail) if len(part)])
    return torch_losses("multiclass", witness.output(hidden[loss_start - start :]), labels), next_state


@each_cell
@each_depth
@pytest.mark.parametrize(("truncation", "stride"), [(3, None), (1, None), (5, 2)])
def test_training_in_windows_is_torch_with_states_detached_between(
    cell, activation, sizes, truncation, stride, compare
):
    sequences = make_sequences((5, 1, 11, 7))
    y = make_labels(sequences, "each")
    sample_weight = np.array([1.5, 0.5, 1, 2])
    alpha = 0.1
    classifier = plain_classifier(
        sizes,
        cell=cell,
        activation=activation,
        readout="each",
        truncation=truncation,
        truncation_stride=stride,
        solver="sgd",
        learning_rate_init=0.1,
        momentum=0.5,
        nesterovs_momentum=False,
        clip_norm=None,
        alpha=alpha,
    )
    start = train(classifier, sequences, y, sample_weight, n_epochs=2)

    witness = TorchNetwork(start, cell, activation, "each")
    optimizer = torch.optim.SGD(list(witness.tensors.values()), lr=0.1, momentum=0.5)
    x = [torch.as_tensor(sequence) for sequence in sequences]
    y = [torch.as_tensor(labels) for labels in y]
    windows = windows_of(11, truncation, stride)
    next_starts = [*(start for start, _, _ in windows[1:]), 11]
    for _ in range(2):
        states = [None] * len(x)
        for window, next_start in zip(windows, next_starts, strict=True):
            loss, total_weight = alpha * witness.penalty(), 0.0
            for i, weight in enumerate(sample_weight):
                losses, states[i] = losses_of_window(witness, x[i], y[i], states[i], window, next_start)
                loss = loss + weight * losses.sum()
                total_weight += weight * len(losses)
            torch_update(witness, optimizer, loss / total_weight)
    compare("truncated", classifier.weights_, witness.arrays(), rtol=1e-9)


def hidden_of_windows(witness, x, windows):
    """h of one sequence after every step, and after the last; no gradient enters a window from before it."""
    hidden = []
    for start, loss_start, stop in windows:
        if loss_start >= len(x):
            break
        with torch.no_grad():
            state = witness.run(x[:start])[1] if start else None
        part, state = witness.run(x[start:stop], state)
        hidden.append(part[loss_start - start :])
    return torch.cat(hidden), witness.last_of(state)


@each_cell
@each_depth
@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("truncation", [3, 1])
def test_truncated_gradients_of_one_loss_are_those_of_torch_with_states_detached(
    cell, activation, sizes, readout, truncation, compare
):
    sequences = make_sequences((5, 1, 11, 7))
    labels = make_labels(sequences, readout)
    weights = np.array([1.5, 0.5, 1, 2])
    network = make_network(cell, activation, sizes=sizes, n_outputs=N_CLASSES, readout=readout)
    dataset = make_dataset(sequences, np.eye(N_CLASSES)[labels], weights)
    (update,) = updates_of(network, MulticlassLogLoss(), dataset, truncation)

    witness = TorchNetwork(network.parameters.views, cell, activation, readout)
    windows = windows_of(11, truncation)
    pooled = []
    for sequence in sequences:
        if readout == "last":  # each sequence's own last steps; otherwise by the clock of the batch
            n_steps = len(sequence)
            windows = [(max(0, n_steps - truncation), n_steps - 1, n_steps)]
        hidden, last = hidden_of_windows(witness, torch.as_tensor(sequence), windows)
        pooled.append(witness.pooled([hidden], last[None]))
    losses = torch_losses("multiclass", witness.output(torch.cat(pooled)), torch.as_tensor(labels))
    (losses * torch.as_tensor(weights)).sum().backward()
    compare("truncated", update.gradient, witness.gradients(), rtol=1e-9)


# ---- Embeddings --------------------------------------------------------------------------------------

KINDS, PAGES = ["buy", "search", "view"], ["cart", "home"]


def make_clicks(lengths=RAGGED):
    """Sequences of frames with two numbers, and two columns of strings, some of which are missing."""
    generator = np.random.default_rng(8)
    sequences = []
    for x in make_sequences(lengths):
        kinds, pages = generator.choice([*KINDS, None], len(x)), generator.choice(PAGES, len(x))
        sequences.append(pd.DataFrame({"kind": kinds, "a": x[:, 0], "page": pages, "b": x[:, 1]}))
    return sequences


class EmbeddedTorchNetwork(TorchNetwork):
    """TorchNetwork over frames of :func:`make_clicks`: torch.nn.Embedding for each column of strings."""

    def __init__(self, weights, *settings):
        super().__init__({name: array for name, array in weights.items() if "embedding" not in name}, *settings)
        self.modules_of_columns = {}
        for column in ("kind", "page"):
            table = torch.tensor(weights[f"embedding.{column}"])
            self.modules_of_columns[column] = torch.nn.Embedding.from_pretrained(table, freeze=False)
            self.tensors[f"embedding.{column}"] = self.modules_of_columns[column].weight

    def inputs(self, frame):
        parts = [torch.tensor(frame[["a", "b"]].to_numpy())]
        for (column, embedding), values in zip(self.modules_of_columns.items(), (KINDS, PAGES)):
            codes = [values.index(value) + 1 if value in values else 0 for value in frame[column]]
            parts.append(embedding(torch.tensor(codes)))
        return torch.cat(parts, dim=1)

    def hidden(self, sequences):
        return super().hidden([self.inputs(frame) for frame in sequences])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@each_direction
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("readout", ["last", ("last", "max", "mean"), "each"])
def test_networks_with_embeddings_are_those_of_torch(cell, bidirectional, readout, solver, compare):
    X = make_clicks()
    y = make_labels(X, readout)
    settings, make_optimizer = SOLVERS[solver]
    options = {"cell": cell, "bidirectional": bidirectional, "readout": readout, "alpha": 0.5} | settings
    classifier = plain_classifier((4, 3), embedding_size=3, **options)
    start = train(classifier, X, y)
    assert start["embedding.kind"].shape == (4, 3)
    assert start["embedding.page"].shape == (3, 3)

    witness = EmbeddedTorchNetwork(start, cell, "tanh", readout)
    optimizer, labels = make_optimizer(list(witness.tensors.values())), torch.as_tensor(np.hstack(y))
    for _ in range(20):
        losses = torch_losses("multiclass", witness.scores(X), labels)
        torch_update(witness, optimizer, (losses.sum() + 0.5 * witness.penalty()) / len(labels), clip_norm=1.0)
    compare("20 updates", classifier.weights_, witness.arrays(), rtol=1e-8)
    with torch.no_grad():
        probabilities = witness.scores(X).softmax(dim=1).numpy()
    actual = {"probabilities": np.concatenate(list(classifier.predict_proba(X))).reshape(-1, N_CLASSES)}
    compare("outputs", actual, {"probabilities": probabilities}, rtol=1e-8)
