"""What a run logs: curves, plans, methods, conditions, and how runs compare."""
