"""Tasks whose wait in the triggerer ends in another way than it should, and async tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task
from airflow.triggers.base import TriggerEvent

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sensors.oleria import OleriaDownloadSensor
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger

FOLDER = Path(os.environ["OLERIA_TEST_LAKE"]) / "trigger_faults"
CONTEXTS = iter(DataContext)


class SilentTrigger(OleriaDownloadTrigger):
    """Ends without an event."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        # The triggerer cannot import the name that Airflow gives to this file.
        return f"tests.system.dags.trigger_faults.{type(self).__name__}", super().serialize()[1]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        for event in ():
            yield event


class BrokenTrigger(SilentTrigger):
    """Meets an error that is none of the package's."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        self.deadline = "tomorrow"
        async for event in OleriaDownloadTrigger.run(self):
            yield event


class _OtherTrigger:
    trigger: type[OleriaDownloadTrigger]

    def defer(self, *, trigger: OleriaDownloadTrigger, **arguments: Any) -> None:
        super().defer(trigger=self.trigger(**trigger.serialize()[1]), **arguments)


class SilentOperator(_OtherTrigger, OleriaDownloadOperator):
    trigger = SilentTrigger


class SilentSensor(_OtherTrigger, OleriaDownloadSensor):
    trigger = SilentTrigger


class BrokenOperator(_OtherTrigger, OleriaDownloadOperator):
    trigger = BrokenTrigger


def export(
    task_id: str, conn_id: str, kind: type[OleriaDownloadOperator] = OleriaDownloadOperator, **arguments: Any
) -> None:
    kind(
        task_id=task_id,
        oleria_conn_id=conn_id,
        data_context=next(CONTEXTS),  # a different one in each task: the test counts what each has started
        destination=f"file://{FOLDER}/{task_id}.csv",
        deferrable=True,
        poll_interval=1,
        max_poll_interval=1,
        **arguments,
    )


def sensor(
    task_id: str, conn_id: str, kind: type[OleriaDownloadSensor] = OleriaDownloadSensor, **arguments: Any
) -> None:
    kind(
        task_id=task_id,
        oleria_conn_id=conn_id,
        download_id=created[conn_id],
        deferrable=True,
        poke_interval=1,
        **arguments,
    )


def check_status(hook: OleriaHook, download_id: str) -> None:
    assert hook.get_conn().get(f"/v1/downloads/{download_id}").json()["status"] == "completed"


async def save(hook: OleriaHook, data_context: str) -> int:
    download = await hook.acreate_download(data_context)
    await hook.await_for_download(download.download_id, poll_interval=1)
    await asyncio.to_thread(check_status, hook, download.download_id)
    saved = await hook.asave_download(download.download_id, f"file://{FOLDER}/async-{data_context}.csv")
    return saved.row_count


def ring_while_asleep(condition: Callable[[], bool]) -> None:
    """Have Airflow's alarm go off once a condition holds, while the event loop of this thread has nothing to do."""
    loop_thread = threading.get_ident()

    def ring() -> None:
        while not (condition() and sys._current_frames()[loop_thread].f_code.co_name == "select"):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGALRM)

    threading.Thread(target=ring, daemon=True).start()


with DAG(
    "trigger_faults",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
        "pool": "few",  # few start at the same moment
    },
):

    @task
    def create() -> dict[str, str]:
        return {
            conn_id: OleriaHook(conn_id).create_download(DataContext.RISKS).download_id
            for conn_id in ("failed", "endless")
        }

    @task
    async def async_exports() -> list[int]:
        hook = OleriaHook("done")
        return list(
            await asyncio.gather(*(save(hook, each) for each in ("risks", "employees", "identities")))
        )

    # Airflow's alarm goes off at the moment under test, however slow the machine is.
    @task(retries=0, execution_timeout=timedelta(hours=1))
    async def async_wait() -> None:
        await OleriaHook("endless").acreate_download(DataContext.RISKS)
        (FOLDER / "before").touch()
        try:
            ring_while_asleep(lambda: True)
            await asyncio.sleep(3600)
        except BaseException:
            (FOLDER / "except").touch()
            raise
        finally:
            (FOLDER / "finally").touch()

    @task(retries=0, execution_timeout=timedelta(hours=1))
    async def async_save() -> None:
        hook = OleriaHook("stalled")
        download = await hook.acreate_download(DataContext.RISKS)
        await hook.await_for_download(download.download_id, poll_interval=1)
        ring_while_asleep(lambda: any(FOLDER.glob(".*async_save.csv*")))
        await hook.asave_download(download.download_id, f"file://{FOLDER}/async_save.csv")

    export("export_failed", "failed")
    export("export_unreadable", "unreadable")
    export("export_late", "endless", timeout=20)
    export("export_lost", "done")
    export("export_silent", "done", SilentOperator)
    export("export_broken", "done", BrokenOperator)
    export("export_done", "done")

    created = create()
    sensor("sensor_failed", "failed", soft_fail=True)
    sensor("sensor_late", "endless", timeout=1)
    sensor("sensor_late_soft", "endless", timeout=1, soft_fail=True)
    sensor("sensor_lost", "endless")
    sensor("sensor_lost_soft", "endless", soft_fail=True)
    sensor("sensor_silent", "endless", SilentSensor, soft_fail=True)

    async_exports()
    async_wait()
    async_save()
