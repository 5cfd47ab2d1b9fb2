"""The runs that are there: compared, plotted, queried, related, recovered, removed, and those from elsewhere."""
