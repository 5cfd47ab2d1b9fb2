"""Where things lie in the sandbox of Nix, as `nix/run-job.py` lays them out."""

from __future__ import annotations

from typing import Final

STUDY: Final = "/build/study"
"""The study, with what an experiment declares and nothing else."""
