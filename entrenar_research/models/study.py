"""A study and the people behind it: what `study.yaml` holds."""

from __future__ import annotations

import msgspec


class Affiliation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An organisation, with its Research Organization Registry identifier where known (a full URL)."""

    name: str
    ror: str | None = None


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An author. `family` alone is enough: not everybody has two names.

    `particle` is the part such as "van der" that belongs to the family name but does not sort with it;
    `orcid` is bare (`0000-0002-1825-0097`); `email` is given only if the author wants it public.
    """

    family: str
    given: str | None = None
    particle: str | None = None
    suffix: str | None = None
    email: str | None = None
    orcid: str | None = None
    affiliations: tuple[Affiliation, ...] = ()

    @property
    def name(self) -> str:
        """The name as written in running text: given, particle, family, suffix."""
        return " ".join(part for part in (self.given, self.particle, self.family, self.suffix) if part)


class Study(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What `study.yaml` says about the whole study.

    `license` is an SPDX expression; `released` an ISO 8601 date; `doi` is bare (`10.5281/zenodo.123`).
    """

    title: str
    authors: tuple[Person, ...]
    license: str
    version: str = "0.1.0"
    description: str | None = None
    keywords: tuple[str, ...] = ()
    released: str | None = None
    url: str | None = None
    doi: str | None = None
