"""Utilities for those who write estimators of sequences."""

__all__: list[str] = []
