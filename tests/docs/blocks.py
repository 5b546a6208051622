"""The Python blocks of README.md and docs/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n+)?(?P<indent>[ ]*)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


_OTHER_IMPORT = re.compile(r"^from airflow\.sdk import [^#\n]+# Airflow 2\.11: (.+)$", re.MULTILINE)
"""An import of Airflow 3, with that of 2.11 in a comment."""


@dataclass(frozen=True)
class Block:
    """One fenced block.

    :param page: its file.
    :param line: of its first line of code.
    :param code: its text; on Airflow 2.11 with the imports that its comments give for it.
    :param reason: why it cannot be run here, if so.
    """

    page: Path
    line: int
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_test(self) -> bool:
        return "\ndef test_" in f"\n{self.code}"

    @property
    def is_dag_file(self) -> bool:
        return re.search(r"^(@dag|with DAG)\b", self.code, re.MULTILINE) is not None


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for found in _BLOCK.finditer(text):
            code = re.sub(f"^{found['indent']}", "", found["code"], flags=re.MULTILINE)
            if find_spec("airflow.sdk") is None:
                code = _OTHER_IMPORT.sub(r"\1", code)
            yield Block(page, text.count("\n", 0, found.start("code")) + 1, code, found["reason"])
