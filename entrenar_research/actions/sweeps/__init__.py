"""Sweeps: begun, carried out by workers that may die, looked at, and run in a loop of a script."""
