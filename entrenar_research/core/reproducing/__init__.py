"""Reproducing: where two results differ, what that looks like, and what is changed to find out why."""
