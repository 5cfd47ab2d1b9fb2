"""The repository's flake in a store of one's own, as one uses it by the commands of Nix."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from entrenar_research.tools import nix
from tests import closures
from tests.conftest import World

EXPERIMENTS = ("lora_finetune", "model_io", "training_loop")


class Flake:
    """A checkout, and a store that has what its lock names."""

    def __init__(self, world: World, root: Path, store: Path) -> None:
        self.root, self.store = root, store
        self._tool = nix.Nix(store.parent / f"{store.name}-conf", store)
        cache = closures.fetched()[2].root.parents[1]
        world.tool("env", "seed", cwd=root, env={"ENTRENAR_NIX_STORE": str(store), "XDG_CACHE_HOME": str(cache)})

    def nix(self, *words: str) -> str:
        return self._tool.run(["nix", *words], cwd=self.root, timeout=None).text

    def build(self, *names: str) -> list[dict[str, Any]]:
        """What Nix says of what it built, in the order of the names."""
        found: list[dict[str, Any]] = json.loads(
            self.nix("build", "--offline", "--no-link", "--json", *(f".#{name}" for name in names))
        )
        return found

    def out(self, name: str) -> str:
        (built,) = self.build(name)
        return str(built["outputs"]["out"])

    def digest(self, path: str) -> str:
        return str(self._tool.info([path])[path]["narHash"])

    def files(self, path: str) -> dict[str, str]:
        """The digests of the files below a store path."""
        return digests(self._tool.physical(path))


def digests(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in place.rglob("*")
        if path.is_file() and path.name != ".gitignore"
    }
