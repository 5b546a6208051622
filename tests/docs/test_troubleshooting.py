"""The messages that the troubleshooting page explains are those that the package writes."""

from __future__ import annotations

import ast
import re

import pytest

from .blocks import ROOT

OTHERS = {"invalid_request", "invalid_client", "invalid_scope", "The conn_id", "isn't defined"}
"""Messages of the token endpoint and of Airflow."""

TABLES = re.compile(r"^\| message .*?\n\n", re.MULTILINE | re.DOTALL)


def explained() -> list[str]:
    """The messages, cut where the page leaves something out."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    rows = [row for table in TABLES.findall(page) for row in table.splitlines()[2:] if row]
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    return sorted({part.strip(" :[]") for text in quoted for part in text.split("…")} - OTHERS - {""})


def written() -> str:
    """All texts of the package."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "airflow_provider_oleria").rglob("*.py")]
    return "\n".join(_text(node) for tree in trees for node in ast.walk(tree))


def _text(node: ast.AST) -> str:
    match node:
        case ast.JoinedStr(values=values):
            return "".join(value.value if isinstance(value, ast.Constant) else "…" for value in values)
        case ast.Constant(value=str(text)):
            return text
        case _:
            return ""


WRITTEN = written()


@pytest.mark.parametrize("message", explained())
def test_the_package_has_this_message(message: str) -> None:
    # A status, a pause and the like are filled in where the page spells them out.
    filled = re.sub(r"(?<=answered )\d+", "…", message)
    assert re.search(re.escape(filled).replace("…", ".*"), WRITTEN)
