"""The air gap: a study with all that it takes to rebuild it, carried into a place without network."""
