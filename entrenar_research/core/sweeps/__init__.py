"""Sweeps: the space, what fits it, and where the trials stand."""
