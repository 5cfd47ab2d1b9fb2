"""What is not as it was when a run was recorded, as a possible cause of a difference."""

from __future__ import annotations

import msgspec
import pytest

from entrenar_research.core.reproducing import causes, hints
from entrenar_research.core.reproducing.hints import World
from entrenar_research.models.run import Environment
from entrenar_research.models.statement import HardwareClass

PINS = {"OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "TZ": "UTC"}
OLD = HardwareClass(architecture="x86_64", level="x86-64-v3", vendor="AuthenticAMD")
NEW = HardwareClass(architecture="x86_64", level="x86-64-v4", vendor="GenuineIntel")
ENVIRONMENT = Environment(program="python", python="3.11.2", packages={"numpy": "2.4.0"}, variables=PINS)
WORLD = World(
    runner="nix",
    hardware=OLD,
    environment=ENVIRONMENT,
    toolchain=("/nix/store/aaa-environment-3.11", "/nix/store/bbb-python-3.11"),
)


def told(now: World, then: World = WORLD) -> dict[str, str]:
    found = list(hints.of_worlds(then, now))
    assert {item.sure for item in found} <= {"possible"}
    assert all(item.fix for item in found)
    return {item.cause: item.evidence for item in found}


def other(**changes: object) -> World:
    """The world with another environment."""
    return msgspec.structs.replace(WORLD, environment=msgspec.structs.replace(ENVIRONMENT, **changes))


def test_the_same_world_tells_nothing() -> None:
    assert told(WORLD) == {}
    assert told(World(runner="host"), World(runner="host", hardware=None)) == {
        causes.CPU: "the record does not say on what kind of machine it was"
    }


@pytest.mark.parametrize(
    ("variables", "cause"),
    [
        ({"OPENBLAS_CORETYPE": "Zen"}, causes.CPU),
        ({"NPY_DISABLE_CPU_FEATURES": "X86_V4"}, causes.CPU),
        ({"OMP_NUM_THREADS": "2"}, causes.THREADS),
        ({"PYTHONHASHSEED": "random"}, causes.HASH_ORDER),
        ({"TZ": "Asia/Tokyo"}, causes.ZONE),
        ({"LC_ALL": "de_DE.UTF-8"}, causes.LOCALE),
        ({"MARK": "x"}, hints.VARIABLES),
    ],
)
def test_a_variable_speaks_for_what_it_decides(variables: dict[str, str], cause: str) -> None:
    ((name, value),) = variables.items()
    assert told(other(variables=PINS | variables)) == {cause: f"{name}: {PINS.get(name, 'absent')} -> {value}"}


def test_a_long_value_is_shortened_and_many_are_counted() -> None:
    found = told(other(variables=PINS | {f"V{number}": "x" * 99 for number in range(9)}))
    assert found[hints.VARIABLES].startswith("V0: absent -> " + "x" * 29 + "..., ")
    assert found[hints.VARIABLES].endswith(" and 5 more")


def test_another_kind_of_machine_is_told_with_or_without_pins() -> None:
    found = told(msgspec.structs.replace(WORLD, hardware=NEW))
    assert found == {causes.CPU: f"recorded on {OLD}, here {NEW}; although kernels are pinned"}
    bare = msgspec.structs.replace(other(variables={}), hardware=NEW)
    then = other(variables={})
    assert told(bare, then) == {causes.CPU: f"recorded on {OLD}, here {NEW}; no kernels are pinned"}
    unknown = msgspec.structs.replace(WORLD, hardware=None)
    assert told(WORLD, unknown) == {}


def test_versions_are_told_and_packages_that_are_gone() -> None:
    found = told(other(python="3.11.9", packages={"numpy": "2.4.1", "more": "1"}))
    assert found == {hints.PYTHON: "Python 3.11.2 -> 3.11.9", hints.PACKAGES: "numpy 2.4.0 -> 2.4.1"}
    assert told(other(packages={})) == {hints.PACKAGES: "numpy 2.4.0 -> absent"}


def test_another_lock_names_what_changed() -> None:
    now = msgspec.structs.replace(WORLD, toolchain=("/nix/store/ccc-environment-3.11", "/nix/store/bbb-python-3.11"))
    assert told(now) == {hints.TOOLCHAIN: "the lock is not that of the run: environment-3.11 changed"}
    assert told(msgspec.structs.replace(WORLD, toolchain=None)) == {}


def test_another_runner_and_another_card_come_last() -> None:
    now = msgspec.structs.replace(other(python="3.12.0"), runner="host", cards=("H200, 550.1",), toolchain=None)
    assert list(told(now)) == [hints.PYTHON, hints.CARDS, hints.RUNNER]


def test_sources_that_changed_are_listed() -> None:
    (found,) = hints.of_sources(("code a: 1 -> 2", "input b: 1 -> 2"))
    assert (found.cause, found.evidence) == (hints.SOURCES, "code a: 1 -> 2, input b: 1 -> 2")
    assert not list(hints.of_sources(()))


def test_of_cards_that_nobody_wrote_down_nothing_is_said() -> None:
    now = msgspec.structs.replace(WORLD, cards=("H200, 550.1",))
    assert list(told(now)) == [hints.CARDS]
    assert told(now, msgspec.structs.replace(WORLD, cards=None)) == {}
