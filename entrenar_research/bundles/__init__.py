"""Carrying a study to a stranger in one file. See `port`."""
