"""Keys and who they belong to. See `port`."""
