"""The check of words finds them in prose and in names, and leaves alone what only looks like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.words import findings


@pytest.mark.parametrize(
    "line",
    [
        "The log says why.",
        "def test_it_tells_more() -> None:",
        "the export that was asked\n# for by an earlier try",
        "A task goes on with its export.",
        "The file stands at its destination.",
        "It waits meanwhile.",
        "_HARMLESS = 3",
    ],
)
def test_a_word_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(line)
    assert len(findings(tmp_path / "page.md")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "as is understood",
        "AIRFLOW_HOME=/home/airflow",
        "Path.home()",
        "an interface to the warehouse",
        "recommended",
        "It is of the user's choice.",
    ],
)
def test_what_only_looks_like_a_word_is_left_alone(line: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(line)
    assert findings(tmp_path / "page.md") == []
