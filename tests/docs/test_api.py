"""Every public name is documented once, with its arguments: by a directive that shows its signature and docstring."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from typing import Any

import pytest

from .blocks import PAGES, ROOT

MODULES = (
    *(f"{room}.oleria" for room in ("operators", "sensors", "triggers", "hooks", "links", "assets")),
    *("downloads", "filters", "exceptions", "sandbox"),
)

INTERNAL = {
    # found by Airflow in get_provider_info
    *("assets.oleria.sanitize_uri", "assets.oleria.convert_asset_to_openlineage"),
    # what the builders of Filter return, documented by the table of operators
    *(f"filters.{kind}Field" for kind in ("String", "Number", "Boolean", "Timestamp", "Enum")),
    # called by operators and the API client
    *("filters.checked_filters", "filters.checked_sorts", "filters.in_words"),
}

DIRECTIVE = re.compile(
    r"^::: airflow_provider_oleria\.(?P<path>[\w.]+)\n(?P<options>(?:    .*\n|\n(?=    ))*)", re.MULTILINE
)


def public() -> Iterator[tuple[str, Any]]:
    """The public functions and classes: a module's ``__all__``, or what it defines without an underscore."""
    for name in MODULES:
        module = import_module(f"airflow_provider_oleria.{name}")
        for member in getattr(module, "__all__", None) or _defined(module):
            if f"{name}.{member}" not in INTERNAL:
                yield f"{name}.{member}", getattr(module, member)


def _defined(module: Any) -> list[str]:
    body = ast.parse(inspect.getsource(module)).body
    names = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return [name for name in names if not name.startswith("_")]


def documented() -> list[str]:
    """What the pages show: the directives, and the members of those of modules."""
    found: list[str] = []
    for page in PAGES:
        for match in DIRECTIVE.finditer(page.read_text()):
            path, members = match["path"], re.search(r"members: \[([^\]]*)\]", match["options"])
            is_module = (ROOT / "airflow_provider_oleria" / f"{path.replace('.', '/')}.py").exists()
            if not is_module:
                found.append(path)
            elif members:
                found += [f"{path}.{member.strip()}" for member in members[1].split(",")]
            else:
                found += [
                    f"{path}.{name}" for name in _defined(import_module(f"airflow_provider_oleria.{path}"))
                ]
    return found


@pytest.mark.parametrize(
    ("name", "member"), public(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_public_name_is_documented_once(name: str, member: Any) -> None:
    where = f"{member.__module__.removeprefix('airflow_provider_oleria.')}.{member.__name__}"
    assert documented().count(where) == 1
    assert f"`{member.__name__}`" in (ROOT / "docs" / "api.md").read_text() or name.startswith("exceptions.")


def with_arguments() -> Iterator[tuple[str, Any]]:
    """The public functions and classes that are called by users, and the methods of the hook."""
    for name, member in public():
        if not name.startswith(("exceptions.", "links.", "filters.")) and not issubclass(
            _as_class(member), Enum
        ):
            yield name, member
        if name.startswith("hooks."):
            methods = inspect.getmembers(
                member, lambda value: inspect.isfunction(value) and not value.__name__.startswith("_")
            )
            yield from ((f"{name}.{key}", value) for key, value in methods if key in vars(member))


def _as_class(member: Any) -> type:
    return member if inspect.isclass(member) else object


@pytest.mark.parametrize(
    ("name", "member"), with_arguments(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_its_arguments_are_documented(name: str, member: Any) -> None:
    described = inspect.getdoc(member) or ""
    if ":meth:" in described.splitlines()[0]:  # the asynchronous twin of a method
        return
    for parameter in inspect.signature(member).parameters.values():
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
            if name == "sandbox.Settings":  # in a table of the sandbox's page
                assert f"`{parameter.name}`" in (ROOT / "docs" / "sandbox.md").read_text()
            else:
                assert f":param {parameter.name}:" in described
