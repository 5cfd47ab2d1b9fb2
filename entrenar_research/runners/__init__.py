"""Executing commands in a kind of world. See `port`."""
