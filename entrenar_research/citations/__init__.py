"""Rendering a study for those who cite it. See `port`."""
