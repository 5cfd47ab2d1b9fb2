"""Rebuilding an experiment again and again, and finding out why results differ."""
