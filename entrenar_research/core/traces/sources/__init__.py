"""From where in a program its calls come."""
