"""Media types by file name: a fixed table, so that the same study gives the same crate on every machine."""

from __future__ import annotations

from typing import Final

_TYPES: Final = {
    "bib": "application/x-bibtex",
    "bin": "application/octet-stream",
    "bz2": "application/x-bzip2",
    "c": "text/x-c",
    "cff": "application/yaml",
    "csv": "text/csv",
    "dat": "application/octet-stream",
    "dvc": "application/yaml",
    "gif": "image/gif",
    "gz": "application/gzip",
    "h5": "application/x-hdf5",
    "html": "text/html",
    "ipynb": "application/x-ipynb+json",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "jsonld": "application/ld+json",
    "lock": "text/plain",
    "log": "text/plain",
    "md": "text/markdown",
    "nix": "text/plain",
    "npy": "application/octet-stream",
    "npz": "application/zip",
    "onnx": "application/octet-stream",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "png": "image/png",
    "pt": "application/octet-stream",
    "py": "text/x-python",
    "r": "text/plain",
    "rs": "text/plain",
    "rst": "text/plain",
    "safetensors": "application/octet-stream",
    "sh": "application/x-sh",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "tex": "application/x-tex",
    "toml": "application/toml",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
}
_NAMES: Final = {
    ".dvcignore": "text/plain",
    ".gitattributes": "text/plain",
    ".gitignore": "text/plain",
    "COPYING": "text/plain",
    "LICENSE": "text/plain",
    "Makefile": "text/plain",
    "NOTICE": "text/plain",
    "README": "text/plain",
    "dvc.lock": "application/yaml",
    "flake.lock": "application/json",
}


def media_type(path: str) -> str | None:
    """The media type that a file's name or last extension stands for, where it is known."""
    name = path.rpartition("/")[2]
    if name in _NAMES:
        return _NAMES[name]
    stem, _, extension = name.rpartition(".")
    return _TYPES.get(extension.lower()) if stem else None
