"""Parents and descendants: the graph, its order, and how it is drawn."""
