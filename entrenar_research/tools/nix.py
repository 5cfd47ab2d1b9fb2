"""Nix: our own configuration, a store of our own where `/nix` is not ours, and the commands that we need.

Nothing of /etc/nix is read or changed. Every build is in the sandbox or it is not done: `sandbox-fallback` is off.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import process

OLDEST: Final = (2, 8)
"""The first Nix that this was tried with."""
SETTINGS: Final = {
    "experimental-features": "nix-command flakes",
    "sandbox": "true",
    "sandbox-fallback": "false",
    "substituters": "",
    "substitute": "false",
    "flake-registry": "",
    "system-features": "",
    "allow-import-from-derivation": "false",
    "require-sigs": "true",
}
"""What a build is done under."""
TOLD: Final = ("sandbox", "sandbox-fallback", "substitute", "substituters", "require-sigs", "system-features")
"""The settings that decide what a build can see, as a proof tells them."""
NOT_REPRODUCED: Final = 104
"""The exit status of `nix-build --check` when another build gave another output."""
_SECONDS: Final = 120.0
_HINT: Final = "install it (Debian: nix-bin; elsewhere: https://nixos.org/download), or use `--runner host`"


class Nix:
    """One store, and builds into it. `store` is the directory it lies in, None for the machine's own `/nix`."""

    def __init__(self, configuration: Path, store: Path | None, *, trusted_keys: Sequence[str] = ()) -> None:
        self.store = store
        self._configuration = configuration
        self._keys = tuple(trusted_keys)

    def run(
        self, argv: Sequence[str], *, check: bool = True, cwd: Path | None = None, timeout: float | None = _SECONDS
    ) -> process.Completed:
        """Runs a command of Nix on this store under our settings; `argv[0]` is `nix`, `nix-build`, `nix-store`.

        Raises:
            MissingToolError: if Nix is absent.
            ToolError: if it fails and `check`.
        """
        where = [] if self.store is None else ["--store", str(self.store)]
        program, *rest = argv
        at = 0 if program != "nix" else _verbs(rest)
        words = [program, *rest[:at], *where, *rest[at:]]
        return process.run(words, check=check, cwd=cwd, env=self.environment(), timeout=timeout)

    def environment(self) -> dict[str, str]:
        """The environment for commands of Nix: the caller's, with our configuration instead of the machine's."""
        self._configure()
        without = ("NIX_CONFIG", "NIX_PATH", "NIX_REMOTE", "NIX_USER_CONF_FILES", "NIX_STORE_DIR", "NIX_STATE_DIR")
        kept = {name: value for name, value in os.environ.items() if name not in without}
        return {**kept, "NIX_CONF_DIR": str(self._configuration), "NIX_USER_CONF_FILES": ""}

    def physical(self, path: str) -> Path:
        """Where a store path such as `/nix/store/...` lies."""
        return Path(path) if self.store is None else self.store / path.lstrip("/")

    def _configure(self) -> None:
        settings = {**SETTINGS, "build-users-group": _build_users(), "trusted-public-keys": " ".join(self._keys)}
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        path = self._configuration / "nix.conf"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            self._configuration.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def settings(self) -> Mapping[str, str]:
        """The effective values of what decides how hermetic a build is, by name.

        Raises:
            ToolError: if Nix cannot say.
        """
        verb = ["show-config"] if (number() or OLDEST) < (2, 20) else ["config", "show"]
        found = json.loads(self.run(["nix", *verb, "--json"]).text)
        return {name: _shown(found[name]["value"]) for name in TOLD if name in found}

    def add_file(self, name: str, path: Path) -> str:
        """Puts a file into the store under a name, known by its digest: its store path."""
        return self.run(["nix", "store", "add-file", "--name", name, str(path)]).text.strip()

    def add_directory(self, name: str, path: Path) -> str:
        """Puts a directory into the store under a name, known by the digest of its archive: its store path."""
        return self.run(["nix", "store", "add-path", "--name", name, str(path)]).text.strip()

    def is_valid(self, paths: Sequence[str]) -> frozenset[str]:
        """Those of the store paths that are in the store."""
        invalid = self.run(["nix-store", "--check-validity", "--print-invalid", *paths], check=False).text.split()
        return frozenset(paths) - frozenset(invalid)

    def info(self, paths: Sequence[str], *, recursive: bool = False) -> dict[str, dict[str, Any]]:
        """What the store knows of paths, by path: `narHash` (SRI), `narSize`, `references`, `deriver`, `signatures`."""
        options = ["--recursive"] if recursive else []
        found = json.loads(self.run(["nix", "path-info", "--json", *options, *paths]).text)
        # A list until Nix 2.18, then a map.
        return {item["path"]: item for item in found} if isinstance(found, list) else found


def version() -> str | None:
    """The installed version, such as `2.8.0`, or None."""
    try:
        said = process.run(["nix", "--version"], check=False, timeout=_SECONDS).text
    except (MissingToolError, ToolError):
        return None
    found = re.search(r"(\d+(?:\.\d+)+\S*)\s*$", said.strip())
    return found[1] if found else None


def number() -> tuple[int, ...] | None:
    """The installed version as numbers, or None."""
    found = version()
    return tuple(int(part) for part in re.findall(r"\d+", found)[:2]) if found else None


def require() -> None:
    """Refuses to go on without a Nix that is new enough.

    Raises:
        MissingToolError: if it is absent or too old.
    """
    found = number()
    if found is None:
        raise MissingToolError("nix is not installed or not on PATH", hint=_HINT)
    if found < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise MissingToolError(f"nix {version()} is too old: expected {wanted} or newer", hint=_HINT)


def default_store(environment: Mapping[str, str]) -> Path | None:
    """Where to build: the machine's `/nix` if it is ours to write to, else a store of our own.

    `ENTRENAR_NIX_STORE` names another directory.
    """
    if named := environment.get("ENTRENAR_NIX_STORE"):
        return Path(named).absolute()
    if os.access("/nix/store", os.W_OK) and os.access("/nix/var/nix/db", os.W_OK):
        return None
    data = environment.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
    return Path(data) / "nix" / "root"


@functools.cache
def _build_users() -> str:
    """The group whose members build for root; nobody but root has any use for it."""
    if os.geteuid() != 0:
        return ""
    import grp  # not on every platform

    try:
        return "nixbld" if grp.getgrnam("nixbld").gr_mem else ""
    except KeyError:
        return ""


def _verbs(words: Sequence[str]) -> int:
    """How many of the words after `nix` are its verb: `store` and some others have two."""
    return 2 if words and words[0] in ("store", "key", "flake", "derivation", "config", "hash", "profile") else 1


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
