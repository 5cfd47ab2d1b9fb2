"""Choosing: which study we are in and which members of the families act on it.

The only place that knows both ports and members.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from entrenar_research import __version__, registry
from entrenar_research.actions import keys as keys_action
from entrenar_research.actions.proving.vouching import Pen
from entrenar_research.actions.running import run as run_action
from entrenar_research.actions.running.attempt import Means, Options
from entrenar_research.actions.running.run import Ran
from entrenar_research.actions.traces.choosing import DEFAULTS, Tracers
from entrenar_research.actions.verifying import verify as verify_action
from entrenar_research.bundles.port import BundleFormat, Progress
from entrenar_research.citations.port import CitationFormat
from entrenar_research.errors import MissingToolError, NotAStudyError, UsageError
from entrenar_research.importers.port import Importer
from entrenar_research.models.verdict import Finding, Report
from entrenar_research.runners.port import Runner
from entrenar_research.signers.port import Signer
from entrenar_research.store import study_files
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import process
from entrenar_research.tools.git import Git
from entrenar_research.tracers.port import Tracer

TOOL = f"entrenar-research {__version__}"


def now() -> datetime.datetime:
    """The present moment, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def templates() -> Path:
    """Where the templates of new studies are: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


def build_sources() -> Path:
    """Where the files are that Nix builds by: in the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_nix"
    return installed if installed.is_dir() else package.parent / "nix"


def key_path() -> Path:
    """Where the person's signing key is, outside of every repository."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(home) / "entrenar-research" / "keys" / "id_ed25519"


class Workspace:
    """The study around `start` and everything that can be done with it."""

    def __init__(self, start: Path | None = None) -> None:
        self.root = study_files.find_root(start or Path.cwd())
        self.files = StudyFiles(self.root)
        self.git = Git(self.root)

    @classmethod
    def maybe(cls, start: Path | None = None) -> Workspace | None:
        """The study around `start`, or None outside of one."""
        try:
            return cls(start)
        except NotAStudyError:
            return None

    def run(
        self,
        name: str,
        options: Options | None = None,
        *,
        announce: Callable[[str], None] = lambda reason: None,
        tracer: str | None = None,
        runner: str | None = None,
    ) -> Ran:
        """Runs the experiment `name` unless it is up to date; `announce` is told why before it begins.

        It is carried out by `runner`, by default the one that `ENTRENAR_RUNNER` names, or the host; it is traced with
        `tracer`, by default with the first that works here.

        Raises:
            UsageError: if it cannot be run.
            MissingToolError: if the tracer or the runner that was named does not work here.
            RunFailedError: if its command fails; that is recorded, and the last good result untouched.
        """
        return run_action.run(self.files, name, options or Options(), self.means(announce, tracer, runner))

    def means(
        self, announce: Callable[[str], None], tracer: str | None = None, runner_name: str | None = None
    ) -> Means:
        """What runs are carried out with here: a runner, a tracer, the caller's environment.

        Raises:
            UsageError: if there is no tracer or no runner of that name.
        """
        return Means(
            runner=runner(runner_name or os.environ.get("ENTRENAR_RUNNER") or "host"),
            tracers=tracers(tracer),
            environment=dict(os.environ),
            now=now,
            tool=TOOL,
            announce=announce,
        )


def runner(name: str) -> Runner:
    """A runner by name.

    Raises:
        UsageError: if there is no such runner.
    """
    member: Runner = registry.load("runners", name, "RUNNER")
    return member


def runner_here(named: str | None = None) -> Runner:
    """The runner that was named, else the one that `ENTRENAR_RUNNER` names, else the host.

    Raises:
        UsageError: if there is no such runner.
    """
    return runner(named or os.environ.get("ENTRENAR_RUNNER") or "host")


def environment() -> dict[str, str]:
    """The variables that commands are started with."""
    return dict(os.environ)


def person(here: Workspace | None) -> tuple[str, str] | None:
    """Name and e-mail as Git knows them; None if it does not, or is not installed."""
    if process.which("git") is None:
        return None
    return (here.git if here is not None else Git(Path.cwd())).identity()


def pen(here: Workspace | None, key: Path | None, ask: Callable[[str], str]) -> Pen:
    """What statements are signed with: the key named, the one of the Git configuration, or the tool's own.

    Raises:
        UsageError: if there is no key, or it lies in the study.
        ResearchError: if others can read it.
    """
    git = here.git if here is not None and process.which("git") else None
    private, _ = keys_action.locate(git, key_path(), key)
    keys_action.outside(private, here.files if here is not None else None)
    member = signer()
    return Pen(signer=member, private=private, public=member.read(private), ask=ask, now=now(), tool=TOOL)


def checking_means(*, progress: Progress) -> verify_action.Means:
    """What a bundle is checked with before anything of it is run."""
    return verify_action.Means(
        runner=runner("host"), environment=environment(), signer=signer(), replay=False, progress=progress
    )


def tracer(name: str) -> Tracer:
    """A tracer by name.

    Raises:
        UsageError: if there is no such tracer.
    """
    member: Tracer = registry.load("tracers", name, "TRACER")
    return member


def tracers(named: str | None = None) -> Tracers:
    """The tracers to choose from: the one that was named, else those that are tried in turn.

    Raises:
        UsageError: if there is no such tracer.
    """
    return Tracers(tracer, named)


def every_tracer() -> tuple[Tracer, ...]:
    """All tracers, first those that are tried where nobody names one."""
    return tuple(tracer(name) for name in dict.fromkeys((*DEFAULTS, *registry.names("tracers"))))


def signer(name: str = "ed25519") -> Signer:
    """A signer by name.

    Raises:
        UsageError: if there is no such signer.
    """
    member: Signer = registry.load("signers", name, "SIGNER")
    return member


def citation(name: str) -> CitationFormat:
    """A citation format by name.

    Raises:
        UsageError: if there is no such format.
    """
    member: CitationFormat = registry.load("citations", name, "FORMAT")
    return member


def bundle_format(name: str) -> BundleFormat:
    """A bundle format by name.

    Raises:
        UsageError: if there is no such format.
    """
    member: BundleFormat = registry.load("bundles", name, "FORMAT")
    return member


def importer(name: str) -> Importer:
    """An importer by name.

    Raises:
        UsageError: if there is no such importer.
    """
    member: Importer = registry.load("importers", name, "IMPORTER")
    return member


def inspect_unpacked(directory: Path) -> tuple[Finding, ...]:
    """A bundle that somebody unpacked, every file against its metadata."""
    from entrenar_research.bundles import ro_crate  # a member: chosen by what lies in the directory

    return ro_crate.inspect_directory(directory)


def verify(
    target: str | Path,
    *,
    replay: bool = False,
    rebuild: bool = False,
    consent: Callable[[], bool] | None = None,
    trusted: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Verifies a study, a bundle, or the directory of an unpacked one.

    With `replay` every experiment is run again, by the runner that `ENTRENAR_RUNNER` names or the host, with `rebuild`
    hermetically; the code of a bundle only if `consent` (by default: none needed, `replay` is one) says yes. `trusted`
    is an allowed_signers file to use instead of the study's own.

    Raises:
        MissingToolError: if it is to be rebuilt, and Nix is not here.
        UsageError: if there is nothing of that name.
        NotAStudyError: if it is a directory, but no study.
    """
    place = Path(target)
    if not place.exists():
        raise UsageError(f"{target}: no such study or bundle")
    carried_out_by = runner_here("nix" if rebuild else None)
    if replay and (reason := carried_out_by.unavailable(os.environ)) is not None:
        hint = "leave --rebuild out" if rebuild else "unset ENTRENAR_RUNNER"
        raise MissingToolError(f"nothing can be rebuilt here: {reason}", hint=f"{hint} to replay on the host")
    means = verify_action.Means(
        runner=carried_out_by,
        environment=dict(os.environ),
        signer=signer(),
        trusted=trusted,
        replay=replay,
        consent=consent or (lambda: True),
        progress=progress or (lambda done, total: None),
    )
    if place.is_dir() and not (place / ".git").exists() and (place / verify_action.METADATA).is_file():
        return verify_action.verify_unpacked(place, inspect_unpacked(place), means)
    if place.is_dir():
        own = msgspec.structs.replace(means, consent=lambda: True)
        return verify_action.verify_study(study_files.find_root(place), own)
    return verify_action.verify_bundle(place, bundle_format("ro-crate"), means)
