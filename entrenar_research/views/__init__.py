"""Drawing models; never fetching them."""
