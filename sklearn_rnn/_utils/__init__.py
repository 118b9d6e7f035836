"""Threads, and the versions that bug reports need."""
