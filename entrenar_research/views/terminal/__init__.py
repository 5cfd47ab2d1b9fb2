"""Drawing models on a terminal or into a pipe."""
