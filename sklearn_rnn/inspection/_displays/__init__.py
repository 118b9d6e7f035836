"""The displays, one in each file."""
