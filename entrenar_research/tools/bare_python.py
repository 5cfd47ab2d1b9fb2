"""A Python straight from unpacked Debian packages: no other Python of its version need be installed.

It is started by its own dynamic loader with its own libraries, so what it says of itself - which wheels fit, what numpy
can do - is what the hermetic toolchain will say.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from entrenar_research.errors import ToolError
from entrenar_research.tools import process

_ASK = (
    "import importlib\n"
    "for name in ('numpy._core._multiarray_umath', 'numpy.core._multiarray_umath'):\n"
    "    try:\n"
    "        found = importlib.import_module(name).__cpu_dispatch__\n"
    "    except ModuleNotFoundError:\n"
    "        continue\n"
    "    import json\n"
    "    print(json.dumps(list(found)))\n"
    "    break\n"
)


def wrapper(directory: Path, unpacked: Path, loader: str, version: str) -> Path:
    """Writes `directory/python`, which starts the Python that lies unpacked.

    Raises:
        ToolError: if there is none, or it does not start here.
    """
    libraries = [unpacked / "lib/x86_64-linux-gnu", unpacked / "usr/lib/x86_64-linux-gnu"]
    start = next((path / loader for path in libraries if (path / loader).is_file()), None)
    program = unpacked / "usr/bin" / f"python{version}"
    if start is None or not program.is_file():
        missing = loader if start is None else f"python{version}"
        raise ToolError(f"the packages hold no {missing}: no Python can be started from them")
    path = directory / "python"
    words = [str(start), "--library-path", ":".join(map(str, libraries)), str(program), "-s", "-B"]
    path.write_text(
        f'#!/bin/sh\nPYTHONHOME={shlex.quote(str(unpacked / "usr"))} exec {shlex.join(words)} "$@"\n', encoding="utf-8"
    )
    path.chmod(0o755)
    done = process.run([str(path), "-c", "import ssl, zlib"], check=False, cwd=directory)
    if done.status != 0:
        raise ToolError(f"the Python of the packages does not start here: {process.failure([str(path)], done)}")
    return path


def cpu_dispatch(interpreter: Path, packages: Path) -> tuple[str, ...]:
    """The CPU features that the numpy below `packages` chooses code by (`__cpu_dispatch__`).

    Raises:
        ToolError: if it cannot be asked.
    """
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    done = process.run([str(interpreter), "-c", _ASK], check=False, cwd=packages, env=environment)
    if done.status != 0 or not done.stdout:
        raise ToolError(f"numpy's CPU features cannot be read: {process.failure([str(interpreter)], done)}")
    return tuple(json.loads(done.stdout))
