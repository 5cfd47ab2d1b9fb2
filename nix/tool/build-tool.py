"""Builds $out as a virtual environment of $python with this project alone; what it needs stays in $environment."""

import compileall
import os
import py_compile
import sys
from pathlib import Path

from hatchling import build

sys.path.insert(0, os.environ["installer"])  # a wheel is a zip file, and Python imports from those
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

out, python, environment = (Path(os.environ[name]) for name in ("out", "python", "environment"))
version = f"{sys.version_info.major}.{sys.version_info.minor}"
below = Path("lib", f"python{version}", "site-packages")
packages, programs = out / below, out / "bin"
packages.mkdir(parents=True)
programs.mkdir()
(out / "pyvenv.cfg").write_text(f"home = {python}/bin\ninclude-system-site-packages = false\nversion = {version}\n")
for name in ("python", "python3", f"python{version}"):
    (programs / name).symlink_to(python / "bin" / f"python{version}")
(packages / "environment.pth").write_text(f"{environment / below}\n")
(programs / "dvc").symlink_to(environment / "bin" / "dvc")

place = Path.cwd()
os.chdir(os.environ["source"])  # where a back end looks for its project
wheel = place / build.build_wheel(str(place))
scheme = {"purelib": packages, "platlib": packages, "scripts": programs, "data": out, "headers": out / "include"}
destination = SchemeDictionaryDestination(
    scheme_dict={name: str(path) for name, path in scheme.items()},
    interpreter=str(programs / "python3"),
    script_kind="posix",
    bytecode_optimization_levels=(),
)
with WheelFile.open(wheel) as source:
    install(source=source, destination=destination, additional_metadata={"INSTALLER": b"installer\n"})
done = compileall.compile_dir(
    packages, quiet=1, force=True, workers=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
)
sys.exit(0 if done else "a module of the tool cannot be compiled")
