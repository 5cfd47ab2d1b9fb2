"""System calls by the span that a program logged around them."""
