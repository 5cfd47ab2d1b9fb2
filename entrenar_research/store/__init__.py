"""The files of a study: where they are, how they are read, written and hashed."""
