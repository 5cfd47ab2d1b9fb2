"""Proofs and attestations: stating what a run is, signing it, rebuilding it, and finding out who agrees."""
