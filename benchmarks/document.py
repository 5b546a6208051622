"""Read and write the figures in ``docs/benchmarks.md``."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def machine() -> str:
    """Date, machine and load, in one line."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    processor = models[0].partition(": ")[2] if models else platform.machine()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({processor}), Linux {platform.release()}, "
        f"Python {platform.python_version()}, load before the run {os.getloadavg()[0]:.1f}."
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are figures."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_figures(name: str, figures: str) -> None:
    """Print the figures and replace the previous ones in the document.

    :param name: of the marker in front of them.
    :param figures: Markdown.
    """
    print(figures)
    before, mark, after = DOCUMENT.read_text().partition(f"<!-- {name} -->\n")
    assert mark, f"{DOCUMENT.name} has no marker {name}"
    _, following, rest = after.partition("\n## ")
    DOCUMENT.write_text(f"{before}{mark}\n{figures}\n{following}{rest}")
