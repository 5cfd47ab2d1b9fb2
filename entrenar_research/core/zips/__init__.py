"""Zip archives whose bytes follow from their content."""
