"""Kill one component after another: one task run, one download, one complete file.

Run by ``make test-system``; too slow, and too much to install, for ``make test``.
"""

from __future__ import annotations

import time

import pytest

from airflow_provider_oleria.sandbox import Fault
from tests.servers.processes import until

from .scenario import Scenario

pytestmark = pytest.mark.timeout(3600)


def test_task_killed_between_the_post_and_its_answer(scenario: Scenario) -> None:
    scenario.sandbox.fail(Fault(kind="create", stall=0))
    scenario.run(here=1, deferred=0)
    until(scenario.created, "Oleria has started the export")
    scenario.kill_task()
    scenario.let_downloads_end()
    # The known gap: the id of this download was never read.
    scenario.ends_well(posts=2)


@pytest.mark.short
def test_task_killed_right_after_the_post(scenario: Scenario) -> None:
    scenario.run(here=1, deferred=0)
    until(scenario.stored_ids, "the download id is stored")
    scenario.kill_task()
    scenario.let_downloads_end()
    scenario.ends_well()


def test_task_killed_while_polling(scenario: Scenario) -> None:
    scenario.run(here=1, deferred=0)
    scenario.until_polled(3)
    scenario.kill_task()
    scenario.let_downloads_end()
    scenario.ends_well()


@pytest.mark.short
def test_task_killed_while_saving(scenario: Scenario) -> None:
    scenario.sandbox.fail(Fault(kind="fetch", stall=1000))
    scenario.let_downloads_end()
    scenario.run(here=1, deferred=0)
    until(lambda: scenario.sandbox.count("fetch"), "the file is on its way")
    scenario.kill_task()
    scenario.ends_well()


@pytest.mark.short
def test_triggerer_killed_with_50_deferred(scenario: Scenario) -> None:
    scenario.run(here=0, deferred=50)
    scenario.until_state("deferred", 50)
    scenario.until_polled(1)
    scenario.cluster.kill("triggerer")
    scenario.until_polled(1)
    scenario.let_downloads_end()
    scenario.ends_well()


def test_scheduler_killed(scenario: Scenario) -> None:
    scenario.run(here=2, deferred=2)
    scenario.until_state("deferred", 2)
    scenario.until_polled(2)
    scenario.cluster.kill("scheduler")
    scenario.until_polled(2)
    scenario.let_downloads_end()
    scenario.ends_well()


@pytest.mark.short
def test_postgres_away_for_20_s(scenario: Scenario) -> None:
    scenario.run(here=2, deferred=2)
    scenario.until_state("deferred", 2)
    scenario.until_polled(1)
    scenario.cluster.postgres.stop()
    try:
        time.sleep(20)  # the outage under test
    finally:
        scenario.cluster.postgres.start()
    scenario.let_downloads_end()
    scenario.ends_well()


def test_tokens_revoked_for_everyone(scenario: Scenario) -> None:
    scenario.run(here=3, deferred=3)
    scenario.until_polled(1)
    scenario.sandbox.revoke_tokens()
    scenario.until_polled(1)
    scenario.let_downloads_end()
    scenario.ends_well()


@pytest.mark.short
def test_client_id_and_secret_rotated(scenario: Scenario) -> None:
    scenario.run(here=3, deferred=3)
    scenario.until_polled(1)
    # In Oleria both keys live until the old one is deleted; the sandbox has one, so no request may arrive in between.
    scenario.line.cut()
    scenario.sandbox.rotate_credentials()
    scenario.cluster.change_connection(scenario.line.connection())
    scenario.line.restore()
    scenario.until_polled(1)
    scenario.let_downloads_end()
    scenario.ends_well()
    refused = sum(call.kind == "token" and call.status == 401 for call in scenario.sandbox.calls)
    assert refused, "no task had to read the Connection again"


def test_rate_limit_storm(scenario: Scenario) -> None:
    scenario.sandbox.settings.update({"rate_limit": 5})
    scenario.run(here=0, deferred=20)
    scenario.until_polled(2)
    scenario.let_downloads_end()
    scenario.ends_well()
    assert any(call.status == 429 for call in scenario.sandbox.calls)


def test_api_down_for_a_minute(scenario: Scenario) -> None:
    scenario.run(here=2, deferred=2)
    scenario.until_polled(1)
    scenario.line.cut()
    try:
        time.sleep(60)  # the outage under test
    finally:
        scenario.line.restore()
    scenario.let_downloads_end()
    scenario.ends_well()


def test_30_exports_at_once_on_one_worker(scenario: Scenario) -> None:
    scenario.run(here=30, deferred=0)
    scenario.until_polled(1)
    scenario.let_downloads_end()
    scenario.ends_well()


def test_marked_failed_by_a_user_then_cleared(scenario: Scenario) -> None:
    scenario.run(here=1, deferred=1)
    scenario.until_polled(1)
    for task_id in ("here", "deferred"):
        scenario.cluster.mark_failed(scenario.dag_id, scenario.run_id, task_id, 0)
        until(
            scenario.log_has("its API cannot cancel a download", task_id),
            f"the log of {task_id} has what is known",
        )
    scenario.cluster.clear(scenario.dag_id, scenario.run_id)
    scenario.let_downloads_end()
    scenario.ends_well()
