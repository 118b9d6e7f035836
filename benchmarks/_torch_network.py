"""The benchmarks' network of torch: one recurrent layer, the last state, a linear output."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pack_padded_sequence

LAYERS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


class TorchNetwork(torch.nn.Module):
    """Raw scores, (n_sequences, n_outputs), of sequences with padding at their ends.

    Parameters
    ----------
    cell : {"rnn", "lstm", "gru"}
    n_features, n_units, n_outputs : int
    batch_first : bool, default=True
        Whether X is (n_sequences, n_steps, n_features) instead of (n_steps, n_sequences, n_features).
    is_sorted : bool, default=False
        Whether the sequences are sorted, longest first.
    """

    def __init__(self, cell, n_features, n_units, n_outputs, batch_first=True, is_sorted=False):
        super().__init__()
        self.batch_first, self.is_sorted = batch_first, is_sorted
        self.layer = LAYERS[cell](n_features, n_units, batch_first=batch_first)
        self.output = torch.nn.Linear(n_units, n_outputs)

    def forward(self, X, lengths=None):
        """Run all steps; pass ``lengths`` (n_sequences,) if the sequences are ragged."""
        if lengths is not None:
            X = pack_padded_sequence(X, lengths, batch_first=self.batch_first, enforce_sorted=self.is_sorted)
        state = self.layer(X)[1]
        hidden = state[0] if isinstance(state, tuple) else state
        return self.output(hidden[-1])
