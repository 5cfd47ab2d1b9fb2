"""The names of files in a Nix store, computed from their digests: which paths are wanted is known without Nix.

After the Nix manual, "Store path specification" (protocols/store-path): the digest in a path is the SHA-256 of a
fingerprint that names kind, digest, store and name, folded to 160 bits and written in Nix' own base 32.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from entrenar_research.models.hermetic import Data

STORE: Final = "/nix/store"
_ALPHABET: Final = "0123456789abcdfghijklmnpqrsvwxyz"
_FOLDED: Final = 20
_LONGEST: Final = 211
_NAME: Final = re.compile(r"[A-Za-z0-9+_?=-][A-Za-z0-9+._?=-]{0,210}")
_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9+._?=-]")


def file_path(name: str, sha256: str) -> str:
    """Where a file lies that is known by the SHA-256 (hex) of its bytes."""
    inner = hashlib.sha256(f"fixed:out:sha256:{sha256}:".encode()).hexdigest()
    return _path("output:out", inner, name)


def tree_path(name: str, nar: str) -> str:
    """Where a file or directory lies that is known by the SHA-256 (hex) of its archive, and refers to no other path."""
    return _path("source", nar, name)


def data_path(item: Data) -> str:
    """Where an experiment's input lies, which Nix knows by its digest."""
    if item.nar is not None:
        return tree_path(item.store, item.nar)
    return file_path(item.store, str(item.sha256))


def base32(data: bytes) -> str:
    """Bytes in Nix' base 32: five bits a letter, the last bits first, without e, o, t and u."""
    number = int.from_bytes(data, "little")
    digits = (len(data) * 8 + 4) // 5
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in range(digits - 1, -1, -1))


def is_name(text: str) -> bool:
    """Whether a store knows such names."""
    return _NAME.fullmatch(text) is not None


def name_for(file: str) -> str:
    """A file's name as the store can have it: letters it does not know become `-`."""
    return _NOT_ALLOWED.sub("-", file).lstrip(".")[:_LONGEST] or "-"


def _path(kind: str, digest: str, name: str) -> str:
    fingerprint = hashlib.sha256(f"{kind}:sha256:{digest}:{STORE}:{name}".encode()).digest()
    folded = bytearray(_FOLDED)
    for place, byte in enumerate(fingerprint):
        folded[place % _FOLDED] ^= byte
    return f"{STORE}/{base32(bytes(folded))}-{name}"
