"""What a person may have meant."""

from __future__ import annotations

from collections.abc import Iterable

from entrenar_research.errors import UsageError


def unknown(what: str, name: str, known: Iterable[str], *, remedy: str | None = None) -> UsageError:
    """The error for a name that is none of `known`: the closest ones, or a short list.

    `what` is the kind of thing ("experiment"); `remedy` replaces the hint where there are none at all.
    """
    import difflib  # costs 10 ms, needed only after a mistake

    names = sorted(known)
    close = difflib.get_close_matches(name, names, 3, 0.5)
    if close:
        hint = "did you mean " + " or ".join(repr(item) for item in close) + "?"
    elif names:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        hint = f"there is: {shown}"
    else:
        hint = remedy or f"there is no {what} yet"
    return UsageError(f"no {what} named {name!r}", hint=hint)
