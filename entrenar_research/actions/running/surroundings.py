"""What a run happens in: the program, its packages, the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from entrenar_research.core import pins
from entrenar_research.core.nix import cpu_features
from entrenar_research.core.proofs import hardware as kinds
from entrenar_research.errors import UsageError
from entrenar_research.models.run import Environment, Hardware
from entrenar_research.tools import process, python


def environment(
    program: str,
    variables: Mapping[str, str],
    *,
    directory: Path,
    touched: Iterable[tuple[str, str]] | None = None,
    wanted: Mapping[str, str] | None = None,
) -> tuple[str, Environment]:
    """Where a command's first word leads when it is run in `directory`, and the environment to record.

    `touched` are the site-package entries that a trace saw: then only loaded packages are recorded. `wanted`
    limits the packages to those named there (for comparing with an earlier record).

    Raises:
        UsageError: if there is no such program.
    """
    path = python.resolve(program, variables, directory=directory)
    if path is None:
        raise UsageError(
            f"command not found: {program}",
            hint="correct `command`, or put the program there; the path is relative to the study"
            if "/" in program
            else f"install {program}, or correct `command` in experiment.yaml; PATH was searched",
        )
    kept = pins.recorded(variables)
    found = python.interpreter(os.path.join(directory, path)) if python.is_python(program) else None
    if found is None:
        return path, Environment(program=Path(program).name, variables=kept)
    if touched is not None:
        packages, scope = found.loaded(touched), "loaded"
    else:
        packages, scope = found.packages(), "installed"
    if wanted is not None:
        packages = {name: packages[name] for name in wanted if name in packages}
    return path, Environment(
        program=Path(program).name,
        python=found.version,
        packages=packages,
        packages_scope="loaded" if scope == "loaded" else "installed",
        variables=kept,
    )


def hardware() -> Hardware:
    """The machine, from /proc and, where it is installed, nvidia-smi."""
    architecture, processor = platform.machine(), _text("/proc/cpuinfo")
    return Hardware(
        architecture=architecture,
        system=f"{platform.system()} {platform.release()}",
        cpu=_field("/proc/cpuinfo", "model name"),
        vendor=kinds.vendor(processor),
        level=kinds.level(architecture, cpu_features.flags(processor)),
        cores=len(os.sched_getaffinity(0)),
        memory=_memory(),
        gpus=_gpus(),
    )


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _field(file: str, key: str) -> str | None:
    try:
        with open(file, encoding="utf-8") as stream:
            for line in stream:
                if line.startswith(key):
                    return line.partition(":")[2].strip()
    except OSError:
        return None
    return None


def _memory() -> int | None:
    text = _field("/proc/meminfo", "MemTotal")
    return int(text.split()[0]) * 1024 if text else None


def _gpus() -> tuple[str, ...]:
    if process.which("nvidia-smi") is None:
        return ()
    done = process.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], check=False)
    return tuple(done.text.splitlines()) if done.status == 0 else ()
