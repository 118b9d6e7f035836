"""Explanations of predictions: what an output, or a score, depends on."""
