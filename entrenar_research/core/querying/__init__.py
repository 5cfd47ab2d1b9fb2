"""The rows and views that SQL sees."""
