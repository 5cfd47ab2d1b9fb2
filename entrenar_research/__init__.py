"""Make a computational study checkable by a stranger.

    from entrenar_research import Workspace, verify

    here = Workspace()                      # the study around the working directory
    done = here.run("training_loop")        # runs it unless it is up to date; done.record, done.reasons
    report = verify("study.crate.zip", replay=True)
    assert not report.wanting

Importing this module costs next to nothing: every name is imported when it is first used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from entrenar_research.actions.sweeps.loop import Sweep
    from entrenar_research.client.memory import MemoryStorage
    from entrenar_research.client.run import current_run, start_run
    from entrenar_research.errors import ResearchError
    from entrenar_research.models.experiment import Declaration, Experiment
    from entrenar_research.models.golden import GoldenRecord
    from entrenar_research.models.run import RunRecord
    from entrenar_research.models.study import Affiliation, Person, Study
    from entrenar_research.models.verdict import Finding, Report, Verdict
    from entrenar_research.workspace import Workspace, verify

__version__ = "0.1.0"
__all__ = [
    "Affiliation",
    "Declaration",
    "Experiment",
    "Finding",
    "GoldenRecord",
    "MemoryStorage",
    "Person",
    "Report",
    "ResearchError",
    "RunRecord",
    "Study",
    "Sweep",
    "Verdict",
    "Workspace",
    "current_run",
    "start_run",
    "verify",
]

_HOMES = {
    "Affiliation": "models.study",
    "Declaration": "models.experiment",
    "Experiment": "models.experiment",
    "Finding": "models.verdict",
    "GoldenRecord": "models.golden",
    "MemoryStorage": "client.memory",
    "Person": "models.study",
    "Report": "models.verdict",
    "ResearchError": "errors",
    "RunRecord": "models.run",
    "Study": "models.study",
    "Sweep": "actions.sweeps.loop",
    "Verdict": "models.verdict",
    "Workspace": "workspace",
    "current_run": "client.run",
    "start_run": "client.run",
    "verify": "workspace",
}


def __getattr__(name: str) -> object:
    """A public name, imported from where it lives."""
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        # importlib takes 1 ms to import
        found: object = getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{__name__}.{home}.".startswith(f"{error.name}."):
            raise
        message = f"{__name__}.{name} is not here: in a hermetic run there is the client alone, for logging"
        raise ImportError(message, name=error.name) from None
    return found


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
