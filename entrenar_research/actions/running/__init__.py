"""Carrying out an experiment: drafted, staged, observed, diagnosed where it failed, concluded, sealed."""
