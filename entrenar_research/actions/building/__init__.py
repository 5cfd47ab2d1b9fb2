"""The tool itself: built from its own sources by Nix, signed by whoever built it, and who came to the same."""
