"""Importers: reading the runs that other trackers recorded, without those trackers."""
