"""Observing what a command does. See `port`."""
