"""The assumptions, whether they hold, and what was seen: as a Markdown table that reads as plain text too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from airflow_provider_oleria.check.assumptions import Assumption, NotSeenError
from airflow_provider_oleria.check.evidence import Evidence
from airflow_provider_oleria.exceptions import OleriaError

_WORDS: Final = {True: "yes", False: "NO", None: "?"}


@dataclass(frozen=True)
class Row:
    """What came of one assumption.

    :param assumption: which.
    :param held: whether it holds; ``None`` where that could not be seen.
    :param seen: what was seen.
    """

    assumption: Assumption
    held: bool | None
    seen: str


def looked_at(assumption: Assumption, evidence: Evidence) -> Row:
    """Look whether an assumption holds."""
    try:
        return Row(assumption, *assumption.look(evidence))
    except (NotSeenError, OleriaError) as problem:
        return Row(assumption, None, f"not seen: {problem}")


def rendered(rows: Sequence[Row]) -> Iterator[str]:
    """The lines of the table, and what follows from what does not hold."""
    cells = [("held", "assumption", "what was seen")]
    cells += [(_WORDS[row.held], row.assumption.claim, row.seen) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    yield lines[0]
    yield "| " + " | ".join("-" * width for width in widths) + " |"
    yield from lines[1:]
    failed = [row.assumption for row in rows if row.held is False]
    if failed:
        yield "\nWhat follows:\n"
    for assumption in failed:
        yield f"* {assumption.claim}: it does not. Then {assumption.otherwise}."
    yield (
        f"\n{sum(row.held is True for row in rows)} of {len(rows)} assumptions hold. The table names the store's host, "
        "and no secret, token, query of a URL or row of data: it may go into a bug report as it stands."
    )
