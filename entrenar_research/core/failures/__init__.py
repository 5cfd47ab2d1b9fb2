"""Why a run failed: codes, classes, tracebacks, and what resembles what."""
