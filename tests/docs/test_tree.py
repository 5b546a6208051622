"""The tree in docs/contributing.md is that of the package; imports point down in it; libraries are declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .blocks import ROOT

PACKAGE = ROOT / "airflow_provider_oleria"
LINE = re.compile(r"^(?P<indent> +)(?P<name>[\w/.]+) {2,}(?P<purpose>\S.*)$")


def tree() -> list[Path]:
    """The files and folders of the page's tree, in its order."""
    page = (ROOT / "docs" / "contributing.md").read_text()
    lines = page.split("```text\nairflow_provider_oleria/\n")[1].split("```")[0].splitlines()
    found: list[Path] = []
    folders = {0: Path()}
    for line in lines:
        match = LINE.match(line)
        assert match, f"not a line of the tree: {line!r}"
        depth = len(match["indent"]) // 2
        path = folders[depth - 1] / match["name"]
        folders[depth] = path
        found.append(path)
    return found


BROUGHT_BY = {
    "airflow": "apache-airflow",
    "fsspec": "apache-airflow",
    "asyncssh": "apache-airflow-providers-sftp",
    "azure": "apache-airflow-providers-microsoft-azure",
    "openlineage": "apache-airflow-providers-openlineage",
    "opentelemetry": "opentelemetry-api",
    "yarl": "aiohttp",
}
"""Module → what brings it, where the two have different names."""


def modules() -> Iterator[Path]:
    return (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if not path.name.startswith("__"))


ROOMS = list(dict.fromkeys(path.parts[0].removesuffix(".py") for path in tree()))
"""The rooms, from the top to the bottom."""


def test_the_tree_has_all_modules_and_no_others() -> None:
    assert {path for path in tree() if path.suffix} == set(modules())
    assert all((PACKAGE / path).exists() for path in tree())


@pytest.mark.parametrize(
    "module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_point_down(module: Path) -> None:
    room = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    below = ROOMS[ROOMS.index(room) :] if room in ROOMS else []
    allowed = {"compat", *below} - ({"sandbox"} if room != "sandbox" else set())
    assert set(imported_rooms(module)) <= allowed


def test_every_library_is_declared_with_its_lowest_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.split(r"[\[>]", line)[0] for lines in groups for line in lines if ">=" in line}
    used = {name.split(".")[0] for module in PACKAGE.rglob("*.py") for name in imports(module)}
    # pytest runs the sandbox's plugin; Airflow 2 has the libraries of the form.
    libraries = (
        used
        - sys.stdlib_module_names
        - {PACKAGE.name, "pytest", "flask_appbuilder", "flask_babel", "wtforms"}
    )
    assert {BROUGHT_BY.get(name, name.replace("_", "-")) for name in libraries} <= declared


def imported_rooms(module: Path) -> Iterator[str]:
    """The rooms of this package that ``module`` imports, wherever in it."""
    for name in imports(module):
        package, _, rest = name.partition(".")
        if package == PACKAGE.name and rest and not rest.startswith("__"):
            yield rest.split(".")[0]


def imports(module: Path) -> Iterator[str]:
    """What ``module`` imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(name), level=0, names=names):
                yield from ([f"{name}.{alias.name}" for alias in names] if name == PACKAGE.name else [name])
            case ast.ImportFrom(level=level) if level:
                raise AssertionError(f"{module}: a relative import")
