"""Data sets of sequences: one that the package includes, and generators of the classic tasks."""

from ._japanese_vowels import load_japanese_vowels
from ._synthetic import (
    make_adding_problem,
    make_copy_memory,
    make_noisy_sines,
    make_temporal_order,
)

__all__ = [
    "load_japanese_vowels",
    "make_adding_problem",
    "make_copy_memory",
    "make_noisy_sines",
    "make_temporal_order",
]
