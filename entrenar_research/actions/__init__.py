"""One file per verb a person asks for: returns values, prints nothing."""
