"""A program that changes the world of a command a little, then becomes the command.

    [*launcher.command(place, {"host": "elsewhere", "umask": 63}), *words]

`host` and `bind` (pairs of directories, the first is seen at the place of the second) take namespaces of their own:
nobody else sees another host name. `cpus` is the CPU to run on, `addresses` switches off the random layout of memory
(personality(2)), `variables` are set in the environment. Where something is refused, nothing is executed: the status is
`REFUSED`, the message begins with `MARK`. It stands by itself and imports nothing of the package: a copy of the file
does as well.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Mapping

REFUSED = 125
MARK = "cannot be varied here: "
_NEW_MOUNTS, _NEW_UTS, _NEW_USER = 0x00020000, 0x04000000, 0x10000000
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_NO_RANDOM_LAYOUT = 0x0040000
_LIBC = ctypes.CDLL(None, use_errno=True)


_BEGIN = "import sys; sys.path.insert(0, sys.argv[1]); import launcher; sys.exit(launcher.become(*sys.argv[2:]))"


def command(place: str, settings: Mapping[str, object]) -> list[str]:
    """What stands before a command that is to be started by the copy of this file in the directory `place`."""
    return [sys.executable, "-I", "-S", "-B", "-c", _BEGIN, place, json.dumps(settings)]


def become(settings: str, *words: str) -> int:
    """Does what the settings say and executes the words; comes back only with why not, as an exit status."""
    try:
        _alter(json.loads(settings))
    except OSError as error:
        sys.stderr.write(f"{MARK}{error.filename or 'it'}: {error.strerror}\n")
        return REFUSED
    try:
        os.execvp(words[0], words)  # noqa: S606 - that is its task
    except OSError as error:
        sys.stderr.write(f"cannot execute {words[0]}: {error.strerror}\n")
    return 127


def _alter(wanted: dict[str, object]) -> None:
    spaces = (_NEW_UTS if "host" in wanted else 0) | (_NEW_MOUNTS if "bind" in wanted else 0)
    if spaces:
        _enter(spaces)
    if "host" in wanted:
        name = os.fsencode(str(wanted["host"]))
        _check(_LIBC.sethostname(name, len(name)), "the host name")
    if "bind" in wanted:
        here = os.getcwd()  # noqa: PTH109 - text is all that is needed
        _check(_LIBC.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None), "the file systems")
        for source, target in wanted["bind"]:  # type: ignore[attr-defined]
            _check(_LIBC.mount(os.fsencode(source), os.fsencode(target), None, _BIND, None), "the file systems")
        os.chdir(here)  # what was opened before is what is now covered
    if "cpus" in wanted:
        os.sched_setaffinity(0, {int(cpu) for cpu in str(wanted["cpus"]).split(",")})
    if "addresses" in wanted:
        _check(_LIBC.personality(_LIBC.personality(0xFFFFFFFF) | _NO_RANDOM_LAYOUT), "the layout of memory")
    os.environ.update(wanted.get("variables", {}))  # type: ignore[call-overload]
    if "umask" in wanted:
        os.umask(int(str(wanted["umask"])))


def _enter(spaces: int) -> None:
    """Namespaces of our own: as root right away, as anybody else in a user namespace in which we are who we were."""
    if _LIBC.unshare(spaces) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    _check(_LIBC.unshare(spaces | _NEW_USER), "the namespaces")
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
            stream.write(line)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
