"""Connections to others: the only room that opens sockets to them, and only for verbs that are named for it."""
