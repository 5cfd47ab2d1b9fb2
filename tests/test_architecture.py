"""The sizes, names and places that keep the house readable. import-linter looks after who imports whom.

Every rule is a function from one parsed module to findings. One test hands all rules the real house; those at
the end hand each rule small sources that it must refuse, and small sources that it must accept.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "entrenar_research"

MODULE_LINES = 400
FUNCTION_LINES = 50
EMPTY_NAMES = frozenset({"common", "helper", "helpers", "misc", "shared", "util", "utils"})
PROCESS_MODULES = frozenset({"subprocess", "pty"})
PROCESS_CALLS = (
    "asyncio.create_subprocess",
    "os.exec",
    "os.fork",
    "os.popen",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
)
EXITS = frozenset({"sys.exit", "exit", "quit", "SystemExit"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True)
class Module:
    """One source file: where it lies, seen from the top of the repository, and what it says."""

    path: PurePosixPath
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.text, filename=str(self.path))

    def is_in(self, *rooms: str) -> bool:
        """Tell whether the module lies in one of these rooms of the package."""
        return self.path.parts[0] == PACKAGE and PurePosixPath(self.path.parts[1]).stem in rooms


Finding = tuple[int, str]
Rule = Callable[[Module], Iterator[Finding]]


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for an expression that is written so, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def calls(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every call."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node.lineno, dotted(node.func)


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of every module that is imported by its full name."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def functions(module: Module) -> Iterator[Function]:
    """Yield every function, nested ones and methods included."""
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def public_functions(body: Iterable[ast.stmt]) -> Iterator[Function]:
    """Yield the functions a reader from outside may call: not private, not nested, not a second signature."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)
        if isinstance(node, ast.If | ast.Try):
            yield from public_functions([*node.body, *node.orelse])
        if isinstance(node, Function) and not node.name.startswith("_"):
            decorators = {dotted(decorator).rpartition(".")[2] for decorator in node.decorator_list}
            if not decorators & {"overload", "override", "setter", "deleter"}:
                yield node


def module_is_short(module: Module) -> Iterator[Finding]:
    """Refuse a module that nobody reads in one go."""
    lines = len(module.text.splitlines())
    if lines > MODULE_LINES:
        yield lines, f"the module has {lines} lines, at most {MODULE_LINES} are allowed; divide it by subject"


def functions_are_short(module: Module) -> Iterator[Finding]:
    """Refuse a function that does not fit on a screen."""
    for node in functions(module):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES:
            yield node.lineno, f"{node.name}() has {lines} lines, at most {FUNCTION_LINES} are allowed"


def module_says_what_it_is(module: Module) -> Iterator[Finding]:
    """Refuse names behind which anything may hide."""
    for part in module.path.with_suffix("").parts:
        if part.strip("_") in EMPTY_NAMES:
            yield 1, f"'{part}' does not say what is inside; name it after its subject"


def public_functions_are_documented(module: Module) -> Iterator[Finding]:
    """Refuse a public function without a docstring."""
    for node in public_functions(module.tree.body):
        if ast.get_docstring(node) is None:
            yield node.lineno, f"{node.name}() is public and has no docstring"


def only_tools_start_processes(module: Module) -> Iterator[Finding]:
    """Refuse whatever starts a process outside tools/."""
    if module.is_in("tools"):
        return
    elsewhere = f"processes are started in {PACKAGE}/tools/ only"
    for line, name in imports(module):
        if name.partition(".")[0] in PROCESS_MODULES:
            yield line, f"imports {name}; {elsewhere}"
    for line, name in calls(module):
        if name.startswith(PROCESS_CALLS):
            yield line, f"calls {name}; {elsewhere}"


def only_the_surface_prints(module: Module) -> Iterator[Finding]:
    """Refuse printing by anything that is not there to be seen."""
    if module.is_in("cli", "views"):
        return
    for line, name in calls(module):
        if name in {"print", "builtins.print"}:
            yield line, "prints; return the value and let cli/ or views/ show it"


def only_the_command_line_exits(module: Module) -> Iterator[Finding]:
    """Refuse ending the process, and reading its arguments, anywhere but in the command line."""
    if module.is_in("cli", "__main__"):
        return
    remedy = "raise a ResearchError and let cli/ leave with its exit code"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and dotted(node.func) in EXITS:
            yield node.lineno, f"calls {dotted(node.func)}; {remedy}"
        elif isinstance(node, ast.Raise) and node.exc is not None and dotted(node.exc) == "SystemExit":
            yield node.lineno, f"raises SystemExit; {remedy}"
        elif isinstance(node, ast.Attribute) and dotted(node) == "sys.argv":
            yield node.lineno, "reads sys.argv; take arguments, and let cli/ read the command line"


EVERYWHERE: tuple[Rule, ...] = (module_is_short, functions_are_short, module_says_what_it_is)
IN_THE_PACKAGE: tuple[Rule, ...] = (
    public_functions_are_documented,
    only_tools_start_processes,
    only_the_surface_prints,
    only_the_command_line_exits,
)


def modules(*folders: str) -> list[Module]:
    """Read the Python files below these folders of the repository."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    places = [PurePosixPath(path.relative_to(ROOT).as_posix()) for path in paths]
    return [Module(place, path.read_text(encoding="utf-8")) for place, path in zip(places, paths, strict=True)]


@pytest.mark.parametrize("rule", EVERYWHERE + IN_THE_PACKAGE, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    folders = (PACKAGE, "scripts", "benchmarks") if rule in EVERYWHERE else (PACKAGE,)
    found = [f"{module.path}:{line}: {what}" for module in modules(*folders) for line, what in rule(module)]
    assert not found, "\n" + "\n".join(found)


def test_the_house_is_not_empty() -> None:
    assert PurePosixPath(PACKAGE, "__init__.py") in {module.path for module in modules(PACKAGE)}


CORE = f"{PACKAGE}/core/digests.py"
LONG_FUNCTION = "def f():\n" + "    x = 1\n" * FUNCTION_LINES
FULL_FUNCTION = "def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1)
DOCUMENTED = 'def f():\n    """Do."""\n'


@pytest.mark.parametrize(
    ("rule", "path", "source", "line"),
    [
        (module_is_short, CORE, "x = 1\n" * (MODULE_LINES + 1), MODULE_LINES + 1),
        (functions_are_short, CORE, LONG_FUNCTION, 1),
        (functions_are_short, CORE, "class A:\n    async " + LONG_FUNCTION.replace("\n", "\n    "), 2),
        (module_says_what_it_is, f"{PACKAGE}/utils.py", "", 1),
        (module_says_what_it_is, f"{PACKAGE}/core/_helpers/text.py", "", 1),
        (public_functions_are_documented, CORE, "def f(): ...", 1),
        (public_functions_are_documented, CORE, "class A:\n    def f(self): ...", 2),
        (public_functions_are_documented, CORE, "if x:\n    def f(): ...", 2),
        (only_tools_start_processes, CORE, "import subprocess", 1),
        (only_tools_start_processes, CORE, "import os, subprocess as s", 1),
        (only_tools_start_processes, CORE, "def f():\n    from subprocess import run", 2),
        (only_tools_start_processes, CORE, "import os\nos.system('ls')", 2),
        (only_tools_start_processes, f"{PACKAGE}/tracers/tools.py", "import subprocess", 1),
        (only_the_surface_prints, CORE, "x = 1\nprint(x)", 2),
        (only_the_command_line_exits, CORE, "import sys\nsys.exit(1)", 2),
        (only_the_command_line_exits, CORE, "raise SystemExit", 1),
        (only_the_command_line_exits, CORE, "raise SystemExit(2)", 1),
        (only_the_command_line_exits, f"{PACKAGE}/views/terminal.py", "import sys\nx = sys.argv[1:]", 2),
    ],
)
def test_a_breach_is_found_and_placed(rule: Rule, path: str, source: str, line: int) -> None:
    assert [number for number, _ in rule(Module(PurePosixPath(path), source))] == [line]


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (module_is_short, CORE, "x = 1\n" * MODULE_LINES),
        (functions_are_short, CORE, FULL_FUNCTION),
        (module_says_what_it_is, f"{PACKAGE}/core/commonmark.py", ""),
        (public_functions_are_documented, CORE, DOCUMENTED),
        (public_functions_are_documented, CORE, "def _f(): ..."),
        (public_functions_are_documented, CORE, "class _A:\n    def f(self): ..."),
        (public_functions_are_documented, CORE, DOCUMENTED + "    def inner(): ...\n    return inner"),
        (public_functions_are_documented, CORE, "@typing.overload\ndef f(): ..."),
        (only_tools_start_processes, f"{PACKAGE}/tools/git.py", "import subprocess"),
        (only_tools_start_processes, CORE, "from . import subprocess_names"),
        (only_the_surface_prints, f"{PACKAGE}/cli/run.py", "print(1)"),
        (only_the_surface_prints, f"{PACKAGE}/views/terminal/table.py", "print(1)"),
        (only_the_surface_prints, CORE, "console.print(1)"),
        (only_the_command_line_exits, f"{PACKAGE}/cli/__init__.py", "import sys\nsys.exit(main(sys.argv))"),
        (only_the_command_line_exits, f"{PACKAGE}/__main__.py", "import sys\nsys.exit(1)"),
        (only_the_command_line_exits, CORE, "raise ValueError(1)"),
    ],
)
def test_what_is_in_order_passes(rule: Rule, path: str, source: str) -> None:
    assert list(rule(Module(PurePosixPath(path), source))) == []
