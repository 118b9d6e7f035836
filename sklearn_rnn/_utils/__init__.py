"""Threads, warnings, changes that are made completely or not at all, and the versions for bug reports."""
