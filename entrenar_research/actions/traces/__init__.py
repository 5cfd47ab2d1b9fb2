"""Traces of any command: recorded, read in every form, compared, held against a policy, exported."""
