"""Verifying: files, history, seals, records and logged data are read and checked again, then runs are replayed."""
