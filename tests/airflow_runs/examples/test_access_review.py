"""The access review reports every change of access, and no other."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet
import pytest

from airflow_provider_oleria.sandbox import Sandbox
from tests.airflow_runs.conftest import Run, RunDag

from .conftest import load

FIRST = datetime(2026, 11, 23, 6, tzinfo=UTC)


@pytest.fixture
def review(run_dag: RunDag, oleria_sandbox: Sandbox, lake: Path) -> Review:
    return Review(run_dag, oleria_sandbox, lake / "access-review")


class Review:
    """The DAG, run on one day after another."""

    def __init__(self, run_dag: RunDag, sandbox: Sandbox, folder: Path) -> None:
        self._run_dag, self.sandbox, self._folder = run_dag, sandbox, folder
        self._dag = load("oleria_access_review")

    def on(self, day: int) -> Run:
        self.sandbox.settings.day = day
        return self._run_dag(self._dag, FIRST + timedelta(days=day))

    def snapshot(self, day: int) -> dict[str, dict[str, str]]:
        folder = self._folder / "snapshots" / f"ds={FIRST + timedelta(days=day):%Y-%m-%d}"
        rows = pyarrow.parquet.read_table(folder / "accounts.parquet").to_pylist()
        return {row["accountId"]: row for row in rows}

    def changes(self, day: int) -> list[dict[str, str]]:
        with self._report(day, "csv").open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))

    def page(self, day: int) -> str:
        return self._report(day, "html").read_text(encoding="utf-8")

    def _report(self, day: int, suffix: str) -> Path:
        return self._folder / "reports" / f"{FIRST + timedelta(days=day):%Y-%m-%d}.{suffix}"


def test_it_reports_who_gained_lost_and_changed_access(review: Review) -> None:
    assert review.on(0).states == {"snapshot": "success", "report": "skipped"}
    run = review.on(1)

    assert run.states == {"snapshot": "success", "report": "success"}
    before, now = review.snapshot(0), review.snapshot(1)
    wanted = {
        *(("gained", now[key]["email"]) for key in now.keys() - before.keys()),
        *(("lost", before[key]["email"]) for key in before.keys() - now.keys()),
        *(
            ("changed", now[key]["email"])
            for key in now.keys() & before.keys()
            if now[key]["applicationRole"] != before[key]["applicationRole"]
        ),
    }
    assert {kind for kind, _ in wanted} == {"gained", "lost", "changed"}
    changes = review.changes(1)
    assert {(row["change"], row["email"]) for row in changes} == wanted
    assert len(changes) == len(wanted)
    reported = run.xcom("report")
    assert {kind: reported[kind] for kind in ("gained", "lost", "changed")} == Counter(
        kind for kind, _ in wanted
    )
    assert all(row["email"] in review.page(1) for row in changes)


def test_names_in_the_page_are_no_markup(review: Review) -> None:
    review.on(0)
    review.on(1)  # the oldest leave; the very oldest has a name with quotes and a line end

    assert "O&#39;Neill, &#34;Bo&#34;" in review.page(1)
    assert "<script" not in review.page(1)


def test_an_empty_snapshot_is_not_a_loss_of_access(review: Review) -> None:
    review.on(0)
    review.sandbox.settings.rows, rows = 0, review.sandbox.settings.rows
    run = review.on(1)
    assert run.states == {"snapshot": "failed", "report": "upstream_failed"}
    assert "min_rows" in run.log

    review.sandbox.settings.rows = rows
    review.on(2)  # is compared with the day before the one that is missing
    assert len([row for row in review.changes(2) if row["change"] == "lost"]) == len(
        review.snapshot(0).keys() - review.snapshot(2).keys()
    )
    assert "Monday, 23 November 2026" in review.page(2)


def test_a_day_is_compared_with_the_one_before_it_when_it_is_run_again(review: Review) -> None:
    for day in (0, 1, 2):
        review.on(day)
    changes = review.changes(1)
    review.on(1)
    assert review.changes(1) == changes
