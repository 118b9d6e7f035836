"""Bounded activation memory: segments of a forward pass, recomputation, budgets."""
