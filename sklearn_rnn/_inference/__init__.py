"""Predictions: of whole sequences in blocks, and step by step as streams."""
