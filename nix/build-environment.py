"""Builds $out as a virtual environment of $python with the wheels of the lock, their programs included, and $client."""

import compileall
import os
import py_compile
import re
import shutil
import sys
from pathlib import Path

out, python = Path(os.environ["out"]), Path(os.environ["python"])
version = f"{sys.version_info.major}.{sys.version_info.minor}"
packages = out / "lib" / f"python{version}" / "site-packages"
programs = out / "bin"
packages.mkdir(parents=True)
programs.mkdir()
(out / "pyvenv.cfg").write_text(f"home = {python}/bin\ninclude-system-site-packages = false\nversion = {version}\n")
for name in ("python", "python3", f"python{version}"):
    (programs / name).symlink_to(python / "bin" / f"python{version}")

sys.path.insert(0, os.environ["installer"])  # a wheel is a zip file, and Python imports from those
from installer import install  # noqa: E402
from installer.destinations import SchemeDictionaryDestination  # noqa: E402
from installer.sources import WheelFile  # noqa: E402

scheme = {"purelib": packages, "platlib": packages, "scripts": programs, "data": out, "headers": out / "include"}
destination = SchemeDictionaryDestination(
    scheme_dict={name: str(path) for name, path in scheme.items()},
    interpreter=str(programs / "python3"),
    script_kind="posix",
    bytecode_optimization_levels=(),
)
wheels = Path("wheels")
wheels.mkdir()
# In the store a file has another name; a wheel is known by its own.
for stored, name in zip(os.environ["wheels"].split(), os.environ["files"].split(), strict=True):
    (wheels / name).symlink_to(stored)
    with WheelFile.open(wheels / name) as source:
        install(source=source, destination=destination, additional_metadata={"INSTALLER": b"installer\n"})
# A wheel of it has more, and was asked for; the toolchain of the tool itself has none of it.
if "client" in os.environ and not (packages / "entrenar_research").exists():
    shutil.copytree(os.environ["client"], packages / "entrenar_research", copy_function=shutil.copyfile)
    for directory, _, _ in os.walk(packages / "entrenar_research"):
        Path(directory).chmod(0o755)
done = compileall.compile_dir(
    packages,
    rx=re.compile("/tests/"),  # half of all modules, and nobody imports them here
    quiet=1,
    force=True,
    workers=1,
    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
)
sys.exit(0 if done else "a module of the packages cannot be compiled")
