"""Parents of a run, as they are said."""

from __future__ import annotations

from entrenar_research.client import values
from entrenar_research.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RELATIONSHIPS = (
    "fine_tuned_from",
    "distilled_from",
    "ensemble_member",
    "hyperparameter_search",
    "data_augmentation",
    "initialization",
)


def parent(run: object, relationship: object, role: object = None) -> dict[str, str]:
    """A parent: the id of a run (or the run itself), how we came from it, and its part in that.

    Raises:
        UsageError: if one of them is not what it should be.
    """
    if relationship not in RELATIONSHIPS:
        raise UsageError(
            f"the relationship to a parent is {relationship!r}, expected one of: {', '.join(RELATIONSHIPS)}",
            hint="a teacher is `distilled_from`, starting weights are `initialization`",
        )
    found = {"run": values.name(getattr(run, "id", run), "parent run"), "relationship": str(relationship)}
    if role is not None:
        found["role"] = values.name(role, "role")
    return found


def parents(given: Any) -> list[dict[str, str]]:
    """Parents given together: each `(run, relationship)`, `(run, relationship, role)`, or a dict of those names.

    Raises:
        UsageError: if one of them is not what it should be.
    """
    found = []
    for item in given:
        if isinstance(item, dict) and {"run", "relationship"} <= item.keys() <= {"run", "relationship", "role"}:
            found.append(parent(**item))
        elif isinstance(item, tuple | list) and len(item) in (2, 3):
            found.append(parent(*item))
        else:
            raise UsageError(
                f"a parent is {item!r}, expected (run, relationship) or (run, relationship, role)",
                hint='for instance parents=[(run_id, "distilled_from", "teacher")]',
            )
    return found
