"""What MkDocs does beside rendering ``docs/*.md``: tables from the code, and pages from files beside ``docs/``."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import OPERATORS, Filter

ROOT = Path(__file__).parent.parent

MOVED = {
    r"\]\((?:\.\./|docs/)": "](",
    r"\]\(README\.md": "](index.md",
    r"\]\(CHANGELOG\.md": "](changelog.md",
    r"\]\(example_dags/?\)": "](example_dags.md)",
    r"\]\(example_dags/(\w+)\.py": r"](example_dags.md#\1",
}
"""Links to files of the repository → links to the pages that show them."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what has its place beside ``docs/``: README, changelog, licence, examples, benchmarks."""
    for name, text in (
        ("index.md", (ROOT / "README.md").read_text()),
        ("changelog.md", (ROOT / "CHANGELOG.md").read_text()),
        ("example_dags.md", _example_dags()),
        ("LICENSE", (ROOT / "LICENSE").read_text()),
    ):
        files.append(File.generated(config, name, content=text))
    for path in (ROOT / "benchmarks").glob("*.py"):
        files.append(File.generated(config, f"benchmarks/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the tables, and make links between files of the repository links between pages."""
    markdown = markdown.replace("<!-- filter operators -->", "\n".join(_operators()))
    markdown = markdown.replace("<!-- data contexts -->", "\n".join(_data_contexts()))
    for in_repository, in_site in MOVED.items():
        markdown = re.sub(in_repository, in_site, markdown)
    return markdown


def _operators() -> Iterator[str]:
    """Which operator goes with which data type, and how it is written."""
    yield f"| | `filterType` | {' | '.join(OPERATORS)} | holds where the column |"
    yield "| --- | --- |" + " :---: |" * len(OPERATORS) + " --- |"
    for filter_type, method in _methods().items():
        marks = ["✓" if filter_type in known else "" for known in OPERATORS.values()]
        parameters = ", ".join(map(_written, list(inspect.signature(method).parameters.values())[1:]))
        meaning = (inspect.getdoc(method) or "").replace("``", "`").removeprefix("The field ").rstrip(".")
        yield f"| `.{method.__name__}({parameters})` | `{filter_type}` | {' | '.join(marks)} | {meaning} |"


def _methods() -> dict[str, Any]:
    """The builder's method of each operator, found by calling it."""
    found: dict[str, Any] = {}
    for data_type in OPERATORS:
        kind = getattr(Filter, data_type)
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                needed = len(inspect.signature(method).parameters) - 1
                found.setdefault(getattr(kind("any"), name)(*["1"] * needed)["filterType"], method)
    order = list(dict.fromkeys(name for names in OPERATORS.values() for name in names))
    return {name: found[name] for name in order}


def _written(parameter: inspect.Parameter) -> str:
    return f"*{parameter.name}" if parameter.kind is parameter.VAR_POSITIONAL else parameter.name


def _data_contexts() -> Iterator[str]:
    yield "| `DataContext.` | API name | |"
    yield "| --- | --- | --- |"
    for group, members in groupby(DataContext, lambda member: member.group):
        yield f"| **{group}** | | |"
        for member in members:
            yield f"| `{member.name}` | `{member}` | {member.description} |"


def _example_dags() -> str:
    """Each example DAG: its docstring, then its code; the templates last."""
    parts = ["# Example DAGs\n\nWhat each is for is in [Recipes](recipes.md)."]
    for path in sorted((ROOT / "example_dags").glob("*.py")):
        code = path.read_text()
        about = ast.get_docstring(ast.parse(code)) or ""
        body = code.split('"""', 2)[2].strip()
        parts.append(f"## {path.stem}\n\n{about.replace('``', '`')}\n\n```python\n{body}\n```")
    for path in sorted((ROOT / "example_dags").glob("*.jinja")):
        parts.append(f"## {path.name}\n\n```html+jinja\n{path.read_text().strip()}\n```")
    return "\n\n".join(parts)
