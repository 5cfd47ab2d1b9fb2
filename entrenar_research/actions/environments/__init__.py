"""The closure lock: choosing the files of the toolchain, keeping them, and putting them into the Nix store."""
