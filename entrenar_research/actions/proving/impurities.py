"""What a result may depend on that nothing pins: the runner's world, the driver of a graphics card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from entrenar_research.core.proofs import environments
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import Hardware, RunRecord
from entrenar_research.models.statement import Impurity
from entrenar_research.store import hashing

_RUNNERS: Final = {
    "host": "programs and libraries of the host that no package of Python names, its kernel, network and clock",
    "bwrap": "programs and libraries of the host that no package of Python names, its kernel and clock; no network",
}
_PLACES: Final = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/nvidia/lib64",
    "/usr/lib/wsl/lib", "/run/opengl-driver/lib",
)  # fmt: skip


def of_run(record: RunRecord) -> tuple[Impurity, ...]:
    """Those of a recorded run: that of its runner, and the driver of each kind of card where it used one."""
    sealed = record.hermetic is not None and environments.sealed(record.hermetic)
    found = [] if sealed else [of_runner(record.runner)]
    if record.hardware is not None and _used_a_card(record):
        found += of_cards(record.hardware)
    return tuple(found)


def of_runner(name: str) -> Impurity:
    """What a runner that does not seal leaves open."""
    return Impurity(kind="runner", detail=f"{name}: {_RUNNERS.get(name, 'its sandbox was off, or could be left out')}")


def _used_a_card(record: RunRecord) -> bool:
    """Whether memory of a card was in use, as far as it was measured."""
    return record.usage is not None and bool(record.usage.gpu_memory)


def of_cards(hardware: Hardware) -> Iterator[Impurity]:
    """The driver of each kind of card; its digest is that of `libcuda.so.<version>`, where that is here."""
    for card in dict.fromkeys(hardware.gpus):
        name, _, version = (part.strip() for part in card.rpartition(","))
        yield Impurity(kind="gpu-driver", detail=name, version=version or None, digest=_driver(version))


def _driver(version: str) -> str | None:
    for place in _PLACES:
        library = Path(place) / f"libcuda.so.{version}"
        if version and library.is_file():
            try:
                return f"sha256:{hashing.hash_file(library, md5=False).sha256}"
            except ResearchError:
                return None
    return None
