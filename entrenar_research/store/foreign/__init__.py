"""Other trackers' files, and what was taken from them."""
