"""One file per outside program: the only room that starts processes."""
