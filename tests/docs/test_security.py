"""docs/security.md names a test for each guard."""

from __future__ import annotations

import re

from .blocks import ROOT


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    files = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    defined = set(re.findall(r"^(?:async )?def (test_\w+)", "\n".join(files), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", page))

    assert len(named) > 20
    assert named <= defined
    assert all((ROOT / path).exists() for path in re.findall(r"`(tests/[\w/]+\.py)`", page))
