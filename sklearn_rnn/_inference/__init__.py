"""Predictions: in blocks of sequences, and as streams that continue step by step."""
