"""Threads, warnings, cached properties, and changes that are made completely or not at all."""
