"""What a person may have meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from entrenar_research.errors import UsageError

_WIDTH = 110


def unknown(what: str, name: str, known: Iterable[str], *, remedy: str | None = None) -> UsageError:
    """The error for a name that is none of `known`: the closest ones, or a short list.

    The list has the order of `known` where that has one. `what` is the kind of thing ("experiment"); `remedy`
    replaces the hint where there are none at all.
    """
    names = list(known) if isinstance(known, Sequence | Mapping) else sorted(known)
    close = closest(name, names)
    if close:
        hint = "did you mean " + " or ".join(f"`{item}`" for item in close) + "?"
    elif names:
        hint = f"there is: {listed(names)}"
    else:
        hint = remedy or f"there is no {what} yet"
    return UsageError(f"no {what} named {name!r}", hint=hint)


def listed(names: Sequence[str]) -> str:
    """As many of the names as fit on one line (three at least), and how many more there are."""
    shown = len(names)
    while shown > 3 and sum(len(name) + 2 for name in names[:shown]) > _WIDTH:
        shown -= 1
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if shown < len(names) else "")


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The names, three at most, that are spelled like `name` or begin like it; the best first.

    Upper and lower case are alike, and of a path (`experiments/line/`) only the last part counts.
    """
    import difflib  # costs 10 ms, needed only after a mistake

    wanted = name.rstrip("/").rpartition("/")[2].casefold()
    by_spelling: dict[str, str] = {}
    for item in known:
        by_spelling.setdefault(item.casefold(), item)
    if wanted in by_spelling:
        return [by_spelling[wanted]]
    alike = difflib.get_close_matches(wanted, by_spelling, 3, 0.55)
    if len(wanted) > 1:
        alike += [item for item in by_spelling if item.startswith(wanted) and item not in alike]
    return [by_spelling[item] for item in alike[:3]]
