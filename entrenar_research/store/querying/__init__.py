"""SQL over the runs, which may read and never write."""
