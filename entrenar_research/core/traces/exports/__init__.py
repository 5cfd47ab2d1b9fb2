"""Traces in the forms that other people's viewers open."""
