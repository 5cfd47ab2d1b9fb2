"""Sweeps on disk: their declarations and journals."""
