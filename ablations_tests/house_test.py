"""The plan of the house, read from the imports: downwards only, no circles, JAX where the plan allows it."""

import ast
import itertools
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from ablations_tests.conftest import ROOT

PACKAGE = ROOT / "ablations"
# Of each package what it may import: what stands here, what those may import, and itself.
BELOW = {
    "errors": (),
    "randomness": (),
    "setting": (),
    "system": ("errors",),
    "terminal": ("system",),
    "networks": ("randomness",),
    "data": ("terminal", "randomness", "setting"),
    "config": ("networks", "data"),
    "runs": ("config",),
    "loggers": ("runs",),
    "tables": ("runs",),
    "training": ("loggers",),
    "analysis": ("training",),
    "compilers": ("training",),
    "costs": ("compilers",),
    "launch": ("costs",),
    "reports": ("analysis", "tables"),
    "api": ("launch", "reports"),
    "cli": ("launch", "reports"),
    "__main__": ("cli",),
    "ablations": ("api",),  # the lazy names of __init__
}
JAX = {"jax", "jaxlib", "flax", "optax", "orbax"}
WITH_JAX = ("networks", "training", "analysis", "compilers/compile.py", "costs/measure.py", "api/networks.py")
WITHOUT_JAX = (
    *("networks/shortcut.py", "networks/scaling.py", "networks/registry.py", "networks/activation.py"),
    *("networks/architecture.py", "networks/family.py", "networks/families/*.py"),
    *("training/environment.py", "training/checkpoint.py"),
)
# Tests of a whole package at once: they have no file of their own to stand beside.
WHOLE = ("house_test.py", "api/door_test.py", "api/examples_test.py", "api/pages_test.py", "api/kernel_test.py")
WHOLE += ("networks/families/published_test.py", "networks/families/shortcuts_test.py")
MOST_LINES = {ast.FunctionDef: 60, ast.ClassDef: 150}


def modules(package: Path) -> dict[str, Path]:
    """The dotted name of each module below a folder named as the package is."""
    return {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(package.rglob("*.py"))
    }


def imports(path: Path, known: dict[str, Path]) -> list[tuple[int, str]]:
    """Each import of a module of the package, at the top or in a function, as (line, dotted name)."""
    package = next(iter(known)).partition(".")[0]
    lines = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            lines += [(node.lineno, alias.name) for alias in node.names if alias.name in known]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            if (node.module or "").partition(".")[0] == package:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                lines += [(node.lineno, name if name in known else node.module) for name in names]
    return lines


def floor(module: str) -> str:
    """The package that a module is in; of a module of the root its own name."""
    return (module.split(".") + [module])[1]


def allowed(package: str) -> set[str]:
    below = {package}
    for name in BELOW[package]:
        below |= allowed(name)
    return below


def wrong_imports(package: Path) -> list[str]:
    """The lines that import upwards or sideways."""
    known = modules(package)
    return [
        f"{path.relative_to(package.parent)}:{line}: {floor(module)} may not import {target}"
        for module, path in known.items()
        for line, target in imports(path, known)
        if target != package.name and floor(target) not in allowed(floor(module)) | {"errors"}
    ]


def circle(package: Path) -> list[str]:
    """The files of a circle of imports; empty where there is none."""
    known = modules(package)
    graph = {module: {name for _, name in imports(path, known)} - {module} for module, path in known.items()}
    for targets in graph.values():
        targets.discard(package.name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def early_jax(package: Path) -> list[str]:
    """The lines at the top of a module that import JAX, or what brings it along, against the plan."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        here = path.relative_to(package)
        may = any(here.is_relative_to(place) for place in WITH_JAX)
        may = may and not any(here.match(pattern) for pattern in WITHOUT_JAX)
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if not may and JAX & {name.partition(".")[0] for name in names}:
                wrong.append(f"{here}:{node.lineno}: imports {names[0]} at the top of the module")
    return wrong


def test_every_package_has_its_floor():
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert packages | files | {"ablations"} == set(BELOW)


def test_imports_go_downwards():
    assert wrong_imports(PACKAGE) == []


def test_no_files_import_each_other_in_a_circle():
    assert circle(PACKAGE) == []


def test_jax_is_imported_where_the_plan_allows_it():
    assert early_jax(PACKAGE) == []


@pytest.mark.parametrize(
    "file,line,complaint",
    [
        ("runs/record.py", "from ablations.training import loop", "runs may not import ablations.training.loop"),
        ("system/lock.py", "def f():\n    from ablations.config.run import Config", "system may not import ablations.config"),
        ("tables/table.py", "from ablations.loggers.mirror import Mirror", "tables may not import ablations.loggers.mirror"),
    ],
)  # fmt: skip
def test_an_import_upwards_is_named_with_its_line(file, line, complaint, tmp_path):
    package = copy(tmp_path)
    with open(package / file, "a") as source:
        source.write(line + "\n")
    (message,) = wrong_imports(package)
    assert message.startswith(f"ablations/{file}:") and complaint in message


def test_a_circle_and_an_early_jax_are_found(tmp_path):
    package = copy(tmp_path)
    with open(package / "system/lock.py", "a") as source:
        source.write("def f():\n    from ablations.system import files\n")
    with open(package / "system/files.py", "a") as source:
        source.write("import jax\nfrom ablations.system import lock\n")
    assert set(circle(package)) == {"ablations.system.lock", "ablations.system.files"}
    assert [line for line in early_jax(package) if line.startswith("system/files.py:")]


def copy(folder: Path) -> Path:
    """The package's sources, to be broken."""
    for path in PACKAGE.rglob("*.py"):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    return folder / "ablations"


def test_functions_and_classes_are_short():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            most = MOST_LINES.get(type(node))
            if most and (lines := node.end_lineno - node.lineno + 1) > most:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {lines} lines, above {most}")
    assert wrong == []


def test_tests_stand_in_the_folders_of_what_they_test():
    """Every folder of tests is one of the package, `commands` (whole commands) or `benchmarks`."""
    tests = ROOT / "ablations_tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("*_test.py")}
    packages = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("__init__.py")}
    assert folders - packages - {Path("commands"), Path("benchmarks")} == set()
    for path in itertools.chain.from_iterable((tests / folder).glob("*_test.py") for folder in folders & packages):
        if str(path.relative_to(tests)) not in WHOLE:
            source = PACKAGE / path.relative_to(tests).parent / f"{path.stem.removesuffix('_test')}.py"
            assert source.exists(), f"{path.relative_to(ROOT)}: there is no {source.relative_to(ROOT)}"


def test_what_is_installed_is_every_package():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert set(setuptools["packages"]) == there | {f"ablations.{name}" for name in ("conf", "sweeps", "results")}
