"""Fixtures of the tests of bounded memory."""

import pytest

from sklearn_rnn._network import network as network_module
from sklearn_rnn._training.memory import segments


@pytest.fixture
def small_segments(monkeypatch):
    """Segments of a few rows, so that short sequences have several."""
    monkeypatch.setattr(segments, "SEGMENT_VALUES", 1)
    monkeypatch.setattr(segments, "SMALLEST_SEGMENT", 8)
    monkeypatch.setattr(network_module, "CHUNK_VALUES", 64)
