"""Finding the members of a family: a file in its folder is a member, its name is what the user types."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from entrenar_research.core.sweeps import suggest


def names(family: str) -> tuple[str, ...]:
    """The members of a family as users type them (`ro_crate.py` is `ro-crate`), without importing them."""
    package = importlib.import_module(f"entrenar_research.{family}")
    found = (item.name for item in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name.replace("_", "-") for name in found if name != "port"))


def load(family: str, name: str, constant: str) -> Any:
    """The member `name` of a family: the constant its file ends in.

    Raises:
        UsageError: if there is no such member.
    """
    if name not in names(family):
        raise suggest.unknown(f"{family[:-1]}", name, names(family))
    module = importlib.import_module(f"entrenar_research.{family}.{name.replace('-', '_')}")
    return getattr(module, constant)
