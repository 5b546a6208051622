"""Many waits in Airflow's own trigger runner: created, run and cleaned up as a triggerer does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_oleria.api import loop_state
from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger
from tests.airflow_names import AIRFLOW_V_3_0_PLUS

from .exports import rotate

MANY = 200


def runner_with(download_ids: list[str]) -> Any:
    """A trigger runner that has been given a row for each."""
    from airflow.jobs.triggerer_job_runner import TriggerRunner

    runner = TriggerRunner()
    for number, download_id in enumerate(download_ids, start=1):
        trigger = OleriaDownloadTrigger(download_id, poll_interval=1, max_poll_interval=1)
        runner.to_create.append(given(number, *trigger.serialize()))
    return runner


def given(number: int, path: str, arguments: dict[str, Any]) -> Any:
    """What the runner of this Airflow receives for a row."""
    if not AIRFLOW_V_3_0_PLUS:
        from airflow.models.taskinstance import TaskInstance
        from airflow.operators.empty import EmptyOperator
        from airflow.utils.module_loading import import_string

        trigger = import_string(path)(**arguments)
        trigger.task_instance = TaskInstance(EmptyOperator(task_id="wait"), run_id="run")
        return number, trigger
    from airflow.executors.workloads import RunTrigger
    from airflow.models.trigger import Trigger

    return RunTrigger(id=number, ti=None, classpath=path, encrypted_kwargs=Trigger.encrypt_kwargs(arguments))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what happens in the runner is no event here
        await asyncio.sleep(0.05)


@pytest.fixture
def exports(oleria_sandbox: Sandbox) -> list[str]:
    oleria_sandbox.settings.export_seconds = 3600
    hook = OleriaHook()
    created = [hook.create_download(DataContext.IDENTITIES).download_id for _ in range(5)]
    oleria_sandbox.reset()
    return created


def test_two_hundred_waits_share_one_client_and_fire_one_event_each(
    oleria_sandbox: Sandbox, exports: list[str]
) -> None:
    async def main() -> None:
        runner = runner_with(exports * (MANY // len(exports)))
        await runner.create_triggers()
        await until(lambda: oleria_sandbox.count("get") >= MANY)
        oleria_sandbox.settings.export_seconds = 0
        await until(lambda: len(runner.events) == MANY)
        await until(lambda: all(details["task"].done() for details in runner.triggers.values()))
        assert len(runner.triggers) == MANY
        await runner.cleanup_finished_triggers()
        assert not runner.triggers
        assert not runner.failed_triggers
        assert {event.payload["status"] for _, event, *_ in runner.events} == {"completed"}
        assert not loop_state._states

    asyncio.run(main())

    assert oleria_sandbox.count("token") == 0  # that of the process that created the downloads is used
    assert (
        len({call.client for call in oleria_sandbox.calls if call.kind == "get"}) <= loop_state.MAX_IN_FLIGHT
    )


def test_a_users_action_ends_one_wait_and_leaves_the_others(
    oleria_sandbox: Sandbox, exports: list[str]
) -> None:
    async def main() -> None:
        runner = runner_with(exports)
        await runner.create_triggers()
        await until(lambda: oleria_sandbox.count("get") >= 1)
        runner.to_cancel.append(1)
        await runner.cancel_triggers()
        await until(lambda: runner.triggers[1]["task"].done())
        oleria_sandbox.settings.export_seconds = 0
        await until(lambda: len(runner.events) == len(exports) - 1)
        await until(lambda: all(details["task"].done() for details in runner.triggers.values()))
        await runner.cleanup_finished_triggers()
        assert not runner.failed_triggers
        assert not loop_state._states

    asyncio.run(main())


def test_a_rotation_of_client_id_and_secret_is_noticed_by_one_for_all(
    oleria_sandbox: Sandbox, exports: list[str]
) -> None:
    async def main() -> None:
        runner = runner_with(exports)
        await runner.create_triggers()
        await until(lambda: oleria_sandbox.count("get") >= len(exports))
        await asyncio.to_thread(rotate, oleria_sandbox, client_id=True)
        oleria_sandbox.settings.export_seconds = 0
        await until(lambda: len(runner.events) == len(exports))
        assert {event.payload["status"] for _, event, *_ in runner.events} == {"completed"}

    asyncio.run(main())

    assert oleria_sandbox.count("create") == 0
    assert [call.status for call in oleria_sandbox.calls if call.kind == "token"].count(200) == 1
