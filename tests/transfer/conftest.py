from __future__ import annotations

from pathlib import Path

import pytest

from .store import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)
