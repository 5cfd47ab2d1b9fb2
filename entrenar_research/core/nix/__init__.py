"""What Nix computes, computed without it, and the rules of the closure lock."""
