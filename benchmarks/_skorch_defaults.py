"""The defaults of RNNClassifier in torch and skorch: patches, a network with pools, and a classifier of both.

This package chooses and cuts the patches and gives the values of its parameters, so that both sides have the same.
"""

from __future__ import annotations

import numpy as np
import torch
from _contenders import PREDICTED_AT_ONCE, padded
from _torch_network import LAYERS
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, LRScheduler
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sklearn_rnn import RNNClassifier
from sklearn_rnn._data.patches import choose_patches
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._settings import training_settings
from sklearn_rnn._training.scaling import SMALLEST_SCALE, START_SHARE
from sklearn_rnn._training.truncation.fixed import FixedTruncation

N_POOLS, N_DIRECTIONS = 3, 2


class StandardizedPatches(TransformerMixin, BaseEstimator):
    """Patches of the steps, and every feature of a step in units of its mean and spread.

    Parameters
    ----------
    patches : Patches
    """

    def __init__(self, patches):
        self.patches = patches

    def fit(self, X, y=None):
        """Measure the features over all steps."""
        steps = np.concatenate(X)
        self.mean_, self.scale_ = steps.mean(axis=0), steps.std(axis=0)
        return self

    def transform(self, X):
        """Return what skorch gives to the module: a padded array, with lengths if the sequences are ragged."""
        lengths = np.array([len(x) for x in X])
        joined = self.patches.join(Sequences(np.concatenate(X), lengths, "list"))
        mean, scale = (np.tile(values, self.patches.size) for values in (self.mean_, self.scale_))
        array, lengths = padded(np.split((joined.rows - mean) / scale, np.cumsum(joined.lengths)[:-1]))
        return array if lengths is None else {"X": array, "lengths": lengths}


class PooledNetwork(torch.nn.Module):
    """Raw scores, (n_sequences, n_outputs), from the last states of both directions, the means and the maxima."""

    def __init__(self, cell, n_features, n_units, n_outputs):
        super().__init__()
        n_pooled = N_POOLS * N_DIRECTIONS * n_units
        self.layer = LAYERS[cell](n_features, n_units, batch_first=True, bidirectional=True)
        self.output = torch.nn.Linear(n_pooled, n_outputs)
        self.register_buffer("mean", torch.zeros(n_pooled))
        self.register_buffer("scale", torch.ones(n_pooled))
        with torch.no_grad():
            self.output.weight *= START_SHARE

    def forward(self, X, lengths=None):
        """Run all steps; pass ``lengths`` (n_sequences,) if the sequences are ragged."""
        return self.output((self.pooled(X, lengths) - self.mean) / self.scale)

    def pooled(self, X, lengths=None):
        """Return the inputs of the output layer before they are scaled, (n_sequences, n_pooled)."""
        if lengths is None:
            hidden, state = self.layer(X)
            mean, maximum = hidden.mean(dim=1), hidden.amax(dim=1)
        else:
            packed, state = self.layer(pack_padded_sequence(X, lengths, batch_first=True, enforce_sorted=False))
            hidden, _ = pad_packed_sequence(packed, batch_first=True)  # padding is 0
            is_padding = torch.arange(hidden.shape[1]) >= lengths[:, None]
            mean = hidden.sum(dim=1) / lengths[:, None]
            maximum = hidden.masked_fill(is_padding[:, :, None], -torch.inf).amax(dim=1)
        last = state[0] if isinstance(state, tuple) else state  # (n_directions, n_sequences, n_units)
        return torch.cat([last.transpose(0, 1).flatten(1), mean, maximum], dim=1)

    @torch.no_grad()
    def measure(self, X, lengths=None):
        """Measure the mean and spread of the inputs of the output layer."""
        pooled = self.pooled(X, lengths)
        self.mean.copy_(pooled.mean(dim=0))
        self.scale.copy_(pooled.std(dim=0, correction=0) + SMALLEST_SCALE)


class MeasureReadout(Callback):
    """Measures the inputs of the output layer on the training data before the first epoch."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Give the module all training sequences."""
        inputs = X if isinstance(X, dict) else {"X": X}
        net.module_.measure(**{name: torch.from_numpy(array) for name, array in inputs.items()})


def default_classifier(problem, cell, n_epochs, seed):
    """Return an unfitted pipeline with the settings of RNNClassifier's defaults."""
    defaults = RNNClassifier()
    n_sequences, lengths = len(problem.X_train), np.array([len(x) for x in problem.X_train])
    patches = choose_patches(defaults, lengths, np.ones(n_sequences))
    batch_size = training_settings(defaults, FixedTruncation(), n_sequences).batch_size
    torch.manual_seed(seed)
    net = NeuralNetClassifier(
        PooledNetwork,
        module__cell=cell,
        module__n_features=problem.n_features * patches.size,
        module__n_units=defaults.hidden_layer_sizes[0],
        module__n_outputs=problem.n_classes,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__betas=(defaults.beta_1, defaults.beta_2),
        optimizer__eps=defaults.epsilon,
        optimizer__weight_decay=defaults.alpha / batch_size,
        optimizer__param_groups=[("*bias*", {"weight_decay": 0.0})],
        lr=defaults.learning_rate_init,
        batch_size=batch_size,
        max_epochs=n_epochs,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=PREDICTED_AT_ONCE,
        train_split=None,
        callbacks=[MeasureReadout(), LRScheduler("CosineAnnealingLR", T_max=n_epochs)],
        verbose=0,
    )
    return make_pipeline(StandardizedPatches(patches), net)
