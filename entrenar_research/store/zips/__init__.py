"""Zip archives read with care and written byte for byte."""
