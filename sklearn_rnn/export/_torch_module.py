"""TorchNetwork: a network of this package as a module of PyTorch. This module imports torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sklearn_rnn._data.patches import Patches


class TorchNetwork(nn.Module):
    """Layers of ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``, pools by lengths, and a linear output layer.

    ``forward(x, lengths=None)`` takes x (batch, steps, features) and the number of steps of each sequence, (batch,),
    int64; None: all steps. It returns the probabilities of the classes (batch, n_classes), or values in the units of y,
    (batch,) or (batch, n_outputs). With readout "each" there is an axis of steps after the first one; results of
    padding have no meaning. ``scores`` returns the raw scores, the outputs of the linear layer, for losses of torch.

    Parameters
    ----------
    layers : list of nn.Module
    output : nn.Linear
    pools : tuple of str
        Names of the readout's pools; none for readout "each".
    patches : Patches
    link : {"identity", "logistic", "softmax", "exp"}
    units : tuple of Tensor or None
        Scale and mean of the values of a regressor.
    is_flat : bool
        Whether predictions have no axis for the outputs.
    has_complement : bool
        Whether the probability of the first of two classes is 1 minus the output.
    """

    scale: torch.Tensor | None
    mean: torch.Tensor | None

    def __init__(
        self,
        layers: list[Any],
        output: nn.Linear,
        *,
        pools: tuple[str, ...],
        patches: Patches,
        link: str,
        units: tuple[torch.Tensor, torch.Tensor] | None,
        is_flat: bool,
        has_complement: bool,
    ) -> None:
        super().__init__()
        self.layers, self.output = nn.ModuleList(layers), output
        self.pools, self.patches, self.link = pools, patches, link
        self.is_flat, self.has_complement = is_flat, has_complement
        scale, mean = (None, None) if units is None else units
        self.register_buffer("scale", scale)
        self.register_buffer("mean", mean)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Return predictions."""
        scores = self.scores(x, lengths)
        if self.scale is not None and self.mean is not None:
            scores = scores * self.scale + self.mean
        if self.link == "softmax":
            return torch.softmax(scores, dim=-1)
        if self.link == "logistic":
            outputs = torch.sigmoid(scores)
            return torch.cat([1 - outputs, outputs], dim=-1) if self.has_complement else outputs
        outputs = torch.exp(scores) if self.link == "exp" else scores
        return outputs.squeeze(-1) if self.is_flat else outputs

    def scores(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Return raw scores, (batch, n_outputs)."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[1], device=x.device)
        x, lengths = self._patches_of(x, lengths)
        n_steps = x.shape[1]
        for layer in self.layers:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            packed, state = layer(packed)
            x, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, total_length=n_steps)
        h = state[0] if isinstance(state, tuple) else state  # (n_directions, batch, n_units)
        return self.output(self._pooled(x, h.transpose(0, 1).flatten(1), lengths))

    def _pooled(self, hidden: torch.Tensor, final: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the inputs of the output layer; padding of ``hidden`` is 0."""
        is_padding = torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]
        pools = {
            "last": lambda: final,
            "mean": lambda: hidden.sum(dim=1) / lengths[:, None],
            "max": lambda: hidden.masked_fill(is_padding[:, :, None], -torch.inf).amax(dim=1),
        }
        return torch.cat([pools[name]() for name in self.pools], dim=1) if self.pools else hidden

    def _patches_of(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return patches, (batch, n_patches, size * n_features), with zeros in front, and the number of each sequence.

        The last patch of a sequence ends with its last step.
        """
        if self.patches.size == 1:
            return x, lengths
        size, stride = self.patches
        n_patches = -(-lengths // stride)
        n_missing = n_patches * stride + self.patches.n_shared - lengths
        starts = stride * torch.arange(-(-x.shape[1] // stride), device=x.device)
        steps = starts[:, None] + torch.arange(size, device=x.device) - n_missing[:, None, None]
        is_inside = (steps >= 0) & (steps < lengths[:, None, None])
        sequence = torch.arange(len(x), device=x.device)[:, None, None]
        patches = x[sequence, torch.where(is_inside, steps, 0)]
        patches = torch.where(is_inside[..., None], patches, torch.zeros((), dtype=x.dtype, device=x.device))
        return patches.flatten(2), n_patches
