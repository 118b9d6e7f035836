"""The sequence checks: each file has those of one subject. ``suite.py`` lists them."""
