"""Proofs: envelopes, statements, what is hashed of an environment, and when several people agree. No files, no keys."""
