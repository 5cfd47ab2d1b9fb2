"""The entities of a crate that say who and under which licence: Person, Organization, CreativeWork."""

from __future__ import annotations

import re
from typing import Any, Final

from entrenar_research.models.study import Affiliation, Person, Study

Entity = dict[str, Any]

_SPDX_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_ROR: Final = "https://ror.org/"


def reference(identifier: str) -> dict[str, str]:
    """A link to an entity."""
    return {"@id": identifier}


def references(identifiers: list[str]) -> list[dict[str, str]]:
    """Links to entities."""
    return [{"@id": identifier} for identifier in identifiers]


def author_id(person: Person, number: int) -> str:
    """The ORCID address of the `number`th author (from 1), or a local name where there is none."""
    return f"https://orcid.org/{person.orcid}" if person.orcid else f"#person-{number}"


def people(study: Study) -> list[Entity]:
    """The authors and, once each, their organisations."""
    organisations: dict[Affiliation, str] = {}
    persons: list[Entity] = []
    for number, person in enumerate(study.authors, 1):
        for affiliation in person.affiliations:
            if affiliation not in organisations:
                known = affiliation.ror is not None and affiliation.ror.startswith(_ROR)
                local = f"#organization-{len(organisations) + 1}"
                organisations[affiliation] = str(affiliation.ror) if known else local
        persons.append(_person(person, number, organisations))
    return persons + _organisations(organisations)


def _person(person: Person, number: int, organisations: dict[Affiliation, str]) -> Entity:
    entity: Entity = {
        "@id": author_id(person, number),
        "@type": "Person",
        "name": person.name,
        "familyName": " ".join(part for part in (person.particle, person.family) if part),
    }
    if person.given:
        entity["givenName"] = person.given
    if person.email:
        entity["email"] = person.email
    if person.affiliations:
        places = dict.fromkeys(organisations[item] for item in person.affiliations)
        entity["affiliation"] = references(list(places))
    return entity


def _organisations(organisations: dict[Affiliation, str]) -> list[Entity]:
    entities: dict[str, Entity] = {}
    for affiliation, identifier in organisations.items():
        entity = {"@id": identifier, "@type": "Organization", "name": affiliation.name}
        if affiliation.ror:
            entity["url"] = affiliation.ror
        entities.setdefault(identifier, entity)
    return list(entities.values())


def licence(expression: str) -> Entity:
    """The licence: SPDX's own page for a plain identifier, a local entity for an expression."""
    if _SPDX_ID.fullmatch(expression) and not expression.startswith(("LicenseRef-", "DocumentRef-")):
        url = f"https://spdx.org/licenses/{expression}"
        return {"@id": url, "@type": "CreativeWork", "name": expression, "identifier": expression, "url": url}
    return {
        "@id": "#licence",
        "@type": "CreativeWork",
        "name": expression,
        "description": f"SPDX licence expression: {expression}",
    }
