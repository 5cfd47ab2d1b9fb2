"""Nix: our own configuration, a store of our own where `/nix` is not ours, and the commands that we need.

Nothing of /etc/nix is read or changed. Every build is in the sandbox or it is not done: `sandbox-fallback` is off.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from entrenar_research.errors import MissingToolError, ToolError, UsageError
from entrenar_research.tools import process

OLDEST: Final = (2, 8)
"""The first Nix that this was tried with."""
SETTINGS: Final = {
    "experimental-features": "nix-command flakes",
    "sandbox": "true",
    "sandbox-fallback": "false",
    "sandbox-paths": "",
    "builders": "",
    "substituters": "",
    "substitute": "false",
    "flake-registry": "",
    "system-features": "",
    "allow-import-from-derivation": "false",
    "require-sigs": "true",
}
"""What a build is done under: here, on this machine, with no file of it (some distributions put a `/bin/sh` in)."""
TOLD: Final = (
    "sandbox", "sandbox-fallback", "sandbox-paths", "substitute", "substituters", "require-sigs", "system-features",
)  # fmt: skip
"""The settings that decide what a build can see, as a proof tells them."""
_SHOWN: Final = 5
_MISSING: Final = re.compile(r"missing-in-the-store/run-entrenar-research-env-seed/([^'\s]+)")
NOT_REPRODUCED: Final = 104
"""The exit status of `nix-build --check` when another build gave another output."""
_VERSIONS: Final[dict[tuple[str, int], str | None]] = {}
"""What programs said, by place and time of change: each is asked once."""
_SECONDS: Final = 120.0
_NO_PLACE: Final = re.compile(
    r"creating (?:directory|file)|is not a directory|Permission denied|Read-only file system|not permitted"
    r"|No space left|disk is full|not writable"
)
_HINT: Final = "install it (Debian: nix-bin; elsewhere: https://nixos.org/download); or use `--runner host` for runs"


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
        command = self.command(argv)
        done = process.run(command, check=False, cwd=cwd, env=self.environment(), timeout=timeout)
        if check and done.status != 0:
            hint = place_hint(done.stderr.decode("utf-8", "replace"))
            raise ToolError(process.failure(command, done), hint=hint)
        return done

    def command(self, argv: Sequence[str]) -> list[str]:
        """A command of Nix as one on this store."""
        where = [] if self.store is None else ["--store", str(self.store)]
        program, *rest = argv
        at = 0 if program != "nix" else _verbs(rest)
        return [program, *rest[:at], *where, *rest[at:]]

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

    def add_files(self, paths: Sequence[Path]) -> tuple[str, ...]:
        """Puts files into the store under the names they have, known by their digests: their store paths."""
        words = ["nix-store", "--add-fixed", "sha256", *map(str, paths)]
        return tuple(self.run(words, timeout=None).text.split()) if paths else ()

    def add_directory(self, name: str, path: Path) -> str:
        """Puts a directory into the store under a name, known by the digest of its archive: its store path."""
        return self.run(["nix", "store", "add-path", "--name", name, str(path)]).text.strip()

    def is_valid(self, paths: Sequence[str]) -> frozenset[str]:
        """Those of the store paths that are in the store.

        Raises:
            ToolError: if the store cannot be opened.
        """
        invalid = self.run(["nix-store", "--check-validity", "--print-invalid", *paths]).text.split()
        return frozenset(paths) - frozenset(invalid)

    def info(self, paths: Sequence[str], *, recursive: bool = False) -> dict[str, dict[str, Any]]:
        """What the store knows of paths, by path: `narHash` (SRI), `narSize`, `references`, `deriver`, `signatures`."""
        options = ["--recursive"] if recursive else []
        if (number() or OLDEST) >= (2, 34):  # which warns that it will ask for a format
            options += ["--json-format", "1"]
        found = json.loads(self.run(["nix", "path-info", "--json", *options, *paths]).text)
        # A list until Nix 2.18, then a map.
        return {item["path"]: item for item in found} if isinstance(found, list) else found

    def evaluate(self, flake: Path, attribute: str, function: str) -> Any:
        """What a function, an expression of Nix, makes of an attribute of the flake in a directory, read as JSON.

        Raises:
            ToolError: if it cannot be evaluated.
        """
        argv = ["nix", "eval", "--offline", "--json", f".#{attribute}", "--apply", function]
        return json.loads(self.run(argv, cwd=flake).text)

    def means(self, derivations: Sequence[str]) -> tuple[str, ...]:
        """All that these derivations are built from and what they made, as far as it is in the store, sorted.

        The derivations themselves are left out: evaluation makes them anew.
        """
        found = self.run(["nix-store", "--query", "--requisites", "--include-outputs", *derivations]).text.split()
        return tuple(sorted(path for path in found if not path.endswith(".drv")))

    def copy_to(self, cache: Path, paths: Sequence[str], key: Path) -> None:
        """Copies paths into a binary cache, compressed with Zstandard, each signed with the secret key in a file.

        What the cache has already is left as it is.

        Raises:
            ToolError: if it fails.
        """
        cache.mkdir(parents=True, exist_ok=True)
        with _plain(cache, key) as (place, secret):
            how = f"compression=zstd&parallel-compression=true&secret-key={secret}"
            self.run(["nix", "copy", "--to", f"file://{place}?{how}", *paths], timeout=None)

    def copy_from(self, cache: Path, paths: Sequence[str]) -> None:
        """Copies paths and what they need out of a binary cache.

        Only what a trusted key signed gets in, and what is known by its content.

        Raises:
            ToolError: if it fails, also because something lacks a trusted signature or is damaged.
        """
        with _plain(cache) as (place,):
            self.run(["nix", "copy", "--offline", "--from", f"file://{place}", *paths], timeout=None)

    def verify(self, paths: Sequence[str]) -> None:
        """Reads paths and what they need again: the content is as registered, and a trusted key signed it.

        Raises:
            ToolError: if not.
        """
        self.run(["nix", "store", "verify", "--recursive", "--sigs-needed", "1", *paths], timeout=None)

    def make_key(self, name: str) -> str:
        """A new secret key for signatures of store paths (`name:base64`)."""
        return self.run(["nix", "key", "generate-secret", "--key-name", name]).text.strip()

    def public_key(self, secret: str) -> str:
        """The public half of a secret key.

        Raises:
            ToolError: if it is no key.
        """
        done = process.run(
            self.command(["nix", "key", "convert-secret-to-public"]),
            stdin=secret.encode("utf-8", "replace"),
            env=self.environment(),
            timeout=_SECONDS,
        )
        return done.text.strip()


def lacking(said: str) -> str | None:
    """In words, which files of the lock a build did not find: `nix/toolchain.nix` gives them an address that tells."""
    missing = sorted(set(_MISSING.findall(said)))
    if not missing:
        return None
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return f"the Nix store lacks files of the lock: {', '.join(missing[:_SHOWN])}{more}"


def place_hint(said: str) -> str | None:
    """What to do about a store that cannot be made or has no room, if it was that what Nix complained of."""
    if _NO_PLACE.search(said) is None:
        return None
    return "the store needs a place to write to, with enough room: ENTRENAR_NIX_STORE names another directory"


def hex_digest(sri: str) -> str:
    """`sha256:<hex>` of a digest as Nix writes it (`sha256-<base64>`)."""
    algorithm, _, value = sri.partition("-")
    return f"{algorithm}:{base64.b64decode(value).hex()}"


def version() -> str | None:
    """The installed version, such as `2.8.0`, or None."""
    place = process.which("nix")
    if place is None:
        return None
    program = (os.path.realpath(place), Path(place).stat().st_mtime_ns)
    if program not in _VERSIONS:
        _VERSIONS[program] = _asked_version()
    return _VERSIONS[program]


def _asked_version() -> str | None:
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

    Raises:
        UsageError: if that is no directory that Nix can name.
    """
    if named := environment.get("ENTRENAR_NIX_STORE"):
        if "?" in named:
            raise UsageError(
                f"ENTRENAR_NIX_STORE={named}: to Nix a `?` in the name of a store begins its settings",
                hint="name a directory without one",
            )
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


@contextlib.contextmanager
def _plain(*places: Path) -> Iterator[tuple[Path, ...]]:
    """Other names for files and directories: in the address of a store a `?` or `%` means something else."""
    with tempfile.TemporaryDirectory(prefix="entrenar-nix-") as directory:
        names = tuple(Path(directory, str(number)) for number in range(len(places)))
        for name, place in zip(names, places, strict=True):
            name.symlink_to(place.absolute())
        yield names


def _verbs(words: Sequence[str]) -> int:
    """How many of the words after `nix` are its verb: `store` and some others have two."""
    return 2 if words and words[0] in ("store", "key", "flake", "derivation", "config", "hash", "profile") else 1


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, list | dict) else str(value)
