"""Reads every accepted form of X and y into sequences and targets, and packs batches of them."""
