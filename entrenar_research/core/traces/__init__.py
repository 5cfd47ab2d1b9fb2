"""Traces: calls read from text, normalised, summarised and compared."""
