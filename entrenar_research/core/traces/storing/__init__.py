"""A trace in columns, packed with one of several codecs."""
