"""What Nix needs to build the chosen experiments anew: built here, then copied into a signed binary cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from entrenar_research.actions.environments import seeding
from entrenar_research.actions.hermetic import jobs
from entrenar_research.actions.running import recipes
from entrenar_research.core.nix import closure_lock
from entrenar_research.errors import MissingToolError, ToolError, UsageError
from entrenar_research.models.airgap import PackedBuild
from entrenar_research.store import files, nar
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import execution, nix
from entrenar_research.tools.git import Git, clone

FLAKE: Final = "flake.nix"
WITHOUT: Final = "give --without-nix for a pack without hermetic runs"
_BUILD: Final = "[ item.drvPath item.outPath ]"
_PROGRAM: Final = "builtins.attrNames (builtins.getContext item.program)"


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """The experiments as Nix built them, and every store path that it takes to build them anew.

    `differing` are those of which Nix made another result than the one that lies in the study.
    """

    system: str
    builds: dict[str, PackedBuild]
    paths: tuple[str, ...]
    differing: tuple[str, ...]


def build(study: StudyFiles, names: Sequence[str], tool: nix.Nix, scratch: Path) -> Built:
    """Builds the experiments as `nix run .#NAME` does, from the commit that is checked out.

    What is in the store already is not built again.

    Raises:
        MissingToolError: if Nix is absent or too old.
        UsageError: if the study is not made for Nix, or says something else of an experiment than its declaration, or
            files of the lock are not in the store.
        ToolError: if a build fails.
    """
    try:
        nix.require()
    except MissingToolError as error:
        raise MissingToolError(error.message, hint=f"install it, or {WITHOUT}") from error
    _refuse_unprepared(study, names, tool)
    # From a copy: Nix 2.8 takes no flake out of a directory with a blank in its path.
    commit = scratch / "commit"
    clone(study.root, commit).call("checkout", "--quiet", "--detach", Git(study.root).head() or "HEAD")
    packages = _evaluated(commit, "packages", _BUILD, names, tool)
    programs = _evaluated(commit, "apps", _PROGRAM, names, tool)
    if len(packages) != 1 or packages.keys() != programs.keys():
        raise UsageError(f"{FLAKE}: expected packages and apps for one system, found {', '.join(packages) or 'none'}")
    system = next(iter(packages))
    missing = [name for name in names if name not in packages[system] or name not in programs[system]]
    if missing:
        raise UsageError(f"{FLAKE} has no package and app {missing[0]}", hint=f"see `nix flake show`; or {WITHOUT}")
    builds = {name: PackedBuild(derivation=item[0], out_path=item[1]) for name, item in packages[system].items()}
    shown = sorted({derivation for found in programs[system].values() for derivation in found})
    wanted = sorted({*shown, *(item.derivation for item in builds.values())})
    _realise(tool, wanted, scratch)
    differing = tuple(name for name in names if _differs(study, name, tool.physical(builds[name].out_path)))
    return Built(system=system, builds=builds, paths=tool.means(wanted), differing=differing)


def _refuse_unprepared(study: StudyFiles, names: Sequence[str], tool: nix.Nix) -> None:
    """Refuses what Nix would not see in the commit; puts the data where the derivations expect it."""
    tracked = frozenset(Git(study.root).listed())
    for path in (closure_lock.FILE, FLAKE):
        if path not in tracked:
            raise UsageError(
                f"{path} is not in the last commit, and Nix builds from it",
                hint=f"`entrenar-research env lock` writes it; then commit it; or {WITHOUT}",
            )
    known = jobs.read(study.root).experiments
    hasher = Hasher(study.root)
    for name in names:
        experiment = study.experiment(name)
        made = jobs.job(study, experiment, recipes.gather(study, experiment, hasher), tracked)
        if known.get(name) != made or jobs.FILE not in tracked:
            raise UsageError(
                f"{jobs.FILE} does not have {name} as it is declared now",
                hint=f"`entrenar-research run {name} --runner nix` brings it up to date; then commit it; or {WITHOUT}",
            )
    data = {item.path: item for name in names for item in known[name].data}
    missing = seeding.seed_data(tuple(data.values()), study.root, tool).missing
    if missing:
        raise UsageError(f"{missing[0].file} is not as {jobs.FILE} says: {missing[0].looked[0]}")


def _evaluated(root: Path, attribute: str, what: str, names: Sequence[str], tool: nix.Nix) -> dict[str, dict[str, Any]]:
    """What the flake says of the experiments, by system and name."""
    chosen = "{ " + " ".join(f'"{name}" = null;' for name in names) + " }"
    each = f"builtins.mapAttrs (name: item: {what}) (builtins.intersectAttrs {chosen} items)"
    found: dict[str, dict[str, Any]] = tool.evaluate(root, attribute, f"builtins.mapAttrs (system: items: {each})")
    return found


def _realise(tool: nix.Nix, derivations: Sequence[str], scratch: Path) -> None:
    said = scratch / "nix.log"
    outcome = execution.execute(
        tool.command(["nix-store", "--realise", *derivations]),
        cwd=scratch,
        env=tool.environment(),
        stdout=scratch / "nix.out",
        stderr=said,
    )
    if outcome.interrupted:
        raise KeyboardInterrupt
    if outcome.exit_status == 0:
        return
    text = said.read_text(encoding="utf-8", errors="replace")
    lacking = nix.lacking(text)
    if lacking is not None:
        raise UsageError(lacking, hint=f"put them there with `entrenar-research env seed`; or {WITHOUT}")
    last = [line for line in text.splitlines() if line.strip()][-6:]
    raise ToolError("Nix cannot build what is to be packed: " + "\n  ".join(last), hint=f"mend it, or {WITHOUT}")


def _differs(study: StudyFiles, name: str, out: Path) -> bool:
    result = study.root / study.experiment(name).result
    return result.is_dir() and nar.directory_hash(result) != nar.directory_hash(out)


def secret_key(place: Path, name: str, tool: nix.Nix) -> str:
    """The public half of the key at `place`, which is made if it is not there.

    Raises:
        StorageError: if the file system refuses.
        ToolError: if it is no key.
    """
    if not place.exists():
        files.write_atomically(place, tool.make_key(name) + "\n", mode=0o600)
    try:
        return tool.public_key(files.read_text(place).strip())
    except ToolError as error:
        raise ToolError(f"{place} is no secret key of Nix", hint="give --nix-key FILE, or none") from error
