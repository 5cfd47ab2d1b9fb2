"""Hermetic runs: experiments as Nix builds them, from what is declared and nothing else."""
