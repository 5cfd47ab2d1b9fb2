"""The cache from which runs are listed; it comes back when deleted."""
