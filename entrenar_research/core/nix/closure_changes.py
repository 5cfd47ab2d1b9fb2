"""What changed between two closure locks."""

from __future__ import annotations

from typing import Literal

import msgspec

from entrenar_research.models.closure import Blob, Closure, Kind

What = Literal["added", "removed", "changed"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference: `kind` is that of a file, or `setting`; `old` and `new` are versions or values.

    A file of the same version and other bytes is told by the beginning of its digest.
    """

    what: What
    kind: Kind | Literal["setting"]
    name: str
    old: str | None = None
    new: str | None = None


def kinds(closure: Closure) -> tuple[tuple[Kind, Blob], ...]:
    """Every file of a lock with its kind."""
    return (
        *(("deb", blob) for blob in closure.debs),
        *(("wheel", blob) for blob in closure.wheels),
        ("tool", closure.busybox.package),
        ("tool", closure.patchelf),
        ("tool", closure.installer),
    )


def changes(old: Closure, new: Closure) -> tuple[Change, ...]:
    """Every difference: files first, then settings."""
    before = {(kind, blob.name): blob for kind, blob in kinds(old)}
    after = {(kind, blob.name): blob for kind, blob in kinds(new)}
    found = [
        change
        for kind, name in sorted({*before, *after})
        if (change := _file(kind, name, before.get((kind, name)), after.get((kind, name)))) is not None
    ]
    one, other = _settings(old), _settings(new)
    for name in sorted({*one, *other}):
        was, now = one.get(name), other.get(name)
        if was != now:
            what: What = "added" if was is None else "removed" if now is None else "changed"
            found.append(Change(what=what, kind="setting", name=name, old=was, new=now))
    return tuple(found)


def _file(kind: Kind, name: str, old: Blob | None, new: Blob | None) -> Change | None:
    if old == new:
        return None
    if old is None or new is None:
        what: What = "added" if old is None else "removed"
        return Change(
            what=what, kind=kind, name=name, old=old.version if old else None, new=new.version if new else None
        )
    if old.version != new.version:
        return Change(what="changed", kind=kind, name=name, old=old.version, new=new.version)
    told = (f"{blob.version} (sha256 {blob.sha256[:12]}, {blob.file})" for blob in (old, new))
    return Change(what="changed", kind=kind, name=name, old=next(told), new=next(told))


def _settings(closure: Closure) -> dict[str, str]:
    own = {"python": closure.python, "system": closure.system, "floor": closure.floor, "busybox": closure.busybox.nar}
    if closure.requirements is not None:
        own["requirements"] = closure.requirements
    return own | {f"pin {name}": value for name, value in closure.pins.items()}
