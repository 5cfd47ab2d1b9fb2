"""What Debian packages say of themselves, and which of them a set of packages needs at run time.

Formats: Debian Policy, 5.1 "Syntax of control files", 7.1 "Syntax of relationship fields".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

Stanza = Mapping[str, str]
"""The fields of one package, by name in lower case."""
_NAME: Final = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)")


def stanzas(text: str) -> tuple[Stanza, ...]:
    """The packages that a text describes."""
    found = []
    for block in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in block.split("\n"):
            if line[:1] in (" ", "\t"):
                if last:
                    fields[last] += "\n" + line
                continue
            name, colon, value = line.partition(":")
            if colon:
                last = name.strip().lower()
                fields[last] = value.strip()
        if "package" in fields:
            found.append(fields)
    return tuple(found)


def needs(stanza: Stanza) -> tuple[tuple[str, ...], ...]:
    """The packages that one needs at run time: of each group one is enough, the first is preferred."""
    groups = []
    for field in ("pre-depends", "depends"):
        for group in stanza.get(field, "").split(","):
            names = tuple(match[1] for part in group.split("|") if (match := _NAME.match(part)))
            if names:
                groups.append(names)
    return tuple(groups)


def file_name(stanza: Stanza) -> str:
    """What apt calls the file of a package."""
    version = stanza["version"].replace(":", "%3a")
    return f"{stanza['package']}_{version}_{stanza['architecture']}.deb"


def is_native(stanza: Stanza) -> bool:
    """Whether a package may hold programs and libraries; one for all architectures does not."""
    return stanza.get("architecture") != "all"


def closure(roots: Sequence[str], known: Mapping[str, Stanza | None]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The native packages that `roots` need, themselves included, sorted; and the names that are still to be looked up.

    `known` has what was looked up: the package, or None where there is none of that name. Packages for all
    architectures are not followed.
    """
    taken: dict[str, None] = {}
    asked: set[str] = {name for name in roots if name not in known}
    waiting = [name for name in roots if known.get(name)]
    while waiting:
        name = waiting.pop()
        stanza = known[name]
        if name in taken or stanza is None or not is_native(stanza):
            continue
        taken[name] = None
        for group in needs(stanza):
            asked.update(item for item in group if item not in known)
            chosen = next((item for item in group if known.get(item)), None)
            if chosen is not None:
                waiting.append(chosen)
    return tuple(sorted(taken)), frozenset(asked)


def unmet(packages: Iterable[str], known: Mapping[str, Stanza | None]) -> tuple[tuple[str, str], ...]:
    """What packages need and nothing known is, or provides: (package, the names that would do)."""
    provided = {
        match[1]
        for stanza in known.values()
        if stanza is not None
        for part in stanza.get("provides", "").split(",")
        if (match := _NAME.match(part))
    }
    found = []
    for package in packages:
        for group in needs(known[package] or {}):
            if not any(known.get(name) or name in provided for name in group):
                found.append((package, " or ".join(group)))
    return tuple(found)
