"""How alike two traces are: alignment, effects, time, and the words for what differs."""
