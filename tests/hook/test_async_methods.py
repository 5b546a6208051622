"""The asynchronous methods: those of the synchronous ones, without a thread of the event loop's own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Sandbox
from tests.airflow_names import AIRFLOW_V_3_3_PLUS

WITHOUT = {"get_conn", "test_connection", "get_connection_form_widgets", "get_ui_field_behaviour"}
"""Methods that have no asynchronous one: ``get_conn`` calls no API, the others are for Airflow."""

SYNCHRONOUS = [
    name
    for name, method in vars(OleriaHook).items()
    if name[0] != "_"
    and name not in WITHOUT
    and inspect.isfunction(method)
    and not inspect.iscoroutinefunction(method)
]


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_each_method_has_an_asynchronous_one_with_the_same_arguments(name: str) -> None:
    method, asynchronous = getattr(OleriaHook, name), getattr(OleriaHook, f"a{name}")

    assert inspect.iscoroutinefunction(asynchronous)
    assert inspect.signature(asynchronous) == inspect.signature(method)


class Supervisor:
    """Airflow's, while another coroutine holds the line to it.

    That one reads its answer in a thread of the event loop's own (``CommsDecoder.asend`` of Airflow 3.3.2).
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.answered = 0
        self.stuck: list[str] = []

    def send(self, message: Any) -> None:
        if threading.current_thread().name.startswith("loop"):
            # There is one such thread: the answer would never be read.
            self.stuck.append(type(message).__name__)
        elif threading.current_thread() is threading.main_thread():
            # Airflow 3.3.1 itself calls it on the event loop, and notices that.
            raise RuntimeError("the event loop would wait for itself")
        else:
            asyncio.run_coroutine_threadsafe(asyncio.to_thread(str), self.loop).result()
            self.answered += 1


@pytest.mark.skipif(
    not AIRFLOW_V_3_3_PLUS, reason="async tasks, and what they share with threads, of Airflow 3.3"
)
@pytest.mark.usefixtures("airflow_db")
def test_no_call_of_airflow_occupies_a_thread_of_the_event_loop(
    oleria_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.execution_time import task_runner

    supervisor = Supervisor()

    async def main() -> None:
        supervisor.loop = asyncio.get_running_loop()
        supervisor.loop.set_default_executor(ThreadPoolExecutor(1, "loop"))
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
        hook = OleriaHook()
        created = await hook.acreate_download("risks")
        await hook.await_for_download(created.download_id, poll_interval=0.05)
        await hook.aget_download(created.download_id)
        await hook.asave_download(created.download_id, f"file://{tmp_path}/risks.csv")

    asyncio.run(main())

    assert not supervisor.stuck
    assert supervisor.answered
    assert (tmp_path / "risks.csv").exists()
