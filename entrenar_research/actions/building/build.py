"""Building the tool from a checkout of its repository, in the user's own store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from entrenar_research.core import digests
from entrenar_research.core.nix import closure_lock
from entrenar_research.errors import IntegrityError, ToolError, UsageError
from entrenar_research.models.building import BuildClaim
from entrenar_research.models.proof import StorePath
from entrenar_research.models.statement import NixFacts
from entrenar_research.store import closure_file, files, nar
from entrenar_research.tools import nix, process
from entrenar_research.tools.nix import Nix

_ASKED: Final = """
let tool = import ./nix/tool { }; of = item: { drv = item.drvPath; out = item.outPath; };
in {
  inherit (tool) name;
  version = tool.version;
  source = "${tool.source}";
  parts = map of [ tool.python tool.environment tool.program ];
}
"""
_DIFFERS: Final = re.compile(r"output '[^']*?(/nix/store/[^']+)' differs")


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What Nix is to build: derivations with their outputs, Python and packages first, the tool last.

    `source` is the store path of the sources. Nothing is built yet.
    """

    name: str
    version: str
    source: str
    outputs: Mapping[str, str]

    @property
    def output(self) -> str:
        """The store path of the tool."""
        return tuple(self.outputs.values())[-1]

    @property
    def derivation(self) -> str:
        """What Nix builds the tool by."""
        return tuple(self.outputs)[-1]


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """What was built: `fresh` are the store paths that were not there before, `again` those built once more."""

    claim: BuildClaim
    facts: NixFacts
    fresh: tuple[str, ...]
    again: tuple[str, ...]


def build(root: Path, tool: Nix, *, again: bool, announce: Callable[[str], None]) -> Built:
    """Builds what the store lacks; with `again` also what it has, which must come out the same.

    Raises:
        UsageError: if `root` is no checkout of the tool's repository, or the store lacks files of its lock.
        MissingToolError: if Nix is absent or too old.
        IntegrityError: if something is built another way the second time, or was changed in the store.
        ToolError: if it cannot be built.
    """
    lock = closure_file.read_own(root)
    nix.require()
    parts = _parts(root, tool)
    there = tool.is_valid(tuple(parts.outputs.values()))
    fresh = [derivation for derivation, output in parts.outputs.items() if output not in there]
    old = [derivation for derivation, output in parts.outputs.items() if output in there] if again else []
    if fresh:
        announce(f"building {_names(parts, fresh)}")
        _realise(tool, fresh)
    for derivation in reversed(old):  # what is quickly built comes first, and differs first
        announce(f"building {_names(parts, [derivation])} again")
        _realise(tool, [derivation], "--check")
    known = tool.info([parts.output], recursive=True)
    _refuse_changed(tool, known, there)
    source = tool.info([parts.source])[parts.source]
    settings = dict(tool.settings())
    with files.refusals(f"cannot read {closure_lock.OWN}"):
        digest = digests.sha256((root / closure_lock.OWN).read_bytes())
    claim = BuildClaim(
        name=parts.name,
        version=parts.version,
        system=lock.system,
        source=nix.hex_digest(source["narHash"]),
        lock=digest,
        output=parts.output,
        nar_hash=nix.hex_digest(known[parts.output]["narHash"]),
        closure=tuple(
            StorePath(path=path, hash=nix.hex_digest(item["narHash"]), size=item["narSize"])
            for path, item in sorted(known.items())
        ),
        settings={name: value for name, value in settings.items() if name.startswith("sandbox")},
    )
    facts = NixFacts(
        nix_derivation=parts.derivation, output=parts.output, nix_version=nix.version() or "", settings=settings
    )
    return Built(
        claim=claim,
        facts=facts,
        fresh=tuple(parts.outputs[item] for item in fresh),
        again=tuple(parts.outputs[item] for item in old),
    )


def _parts(root: Path, tool: Nix) -> Parts:
    argv = ["nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "--expr", _ASKED]
    found: dict[str, Any] = json.loads(tool.run(argv, cwd=root).text)
    outputs = {item["drv"]: item["out"] for item in found["parts"]}
    return Parts(name=found["name"], version=found["version"], source=found["source"], outputs=outputs)


def _realise(tool: Nix, derivations: list[str], *options: str) -> None:
    argv = ["nix-store", "--realise", "--quiet", *options, *derivations]
    done = tool.run(argv, check=False, timeout=None)
    if done.status == 0:
        return
    said = done.stderr.decode("utf-8", "replace")
    if differing := _DIFFERS.findall(said):
        raise IntegrityError(
            f"built again it is another: {', '.join(sorted(set(differing)))}: this build does not reproduce here",
            hint="nothing was signed; `nix build .#entrenar-research --rebuild --keep-failed` keeps both",
        )
    if lacking := nix.lacking(said):
        raise UsageError(lacking, hint="put them there with `entrenar-research env seed --self`")
    raise ToolError(process.failure(argv, done))


def _refuse_changed(tool: Nix, known: Mapping[str, Mapping[str, Any]], there: Collection[str]) -> None:
    """Refuses what was in the store before, and is not what Nix once put there: of that nothing was built now."""
    for path in sorted({*known} & {*there}):
        found, expected = f"sha256:{nar.directory_hash(tool.physical(path))}", nix.hex_digest(known[path]["narHash"])
        if found != expected:
            raise IntegrityError(
                f"{path} was changed in the store: found {found[:19]}..., expected {expected[:19]}...",
                hint="delete it with `nix-store --delete` (and `--store`), and it is built anew",
            )


def _names(parts: Parts, derivations: list[str]) -> str:
    return ", ".join(parts.outputs[item].rpartition("/")[2].partition("-")[2] for item in derivations)
