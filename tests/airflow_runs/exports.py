"""An export in real Airflow, and something that happens in the middle of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Sandbox
from tests.airflow_names import DAG

from .conftest import REMEMBERS, new_dag

remembering = pytest.mark.skipif(not REMEMBERS, reason="task_state_store came with Airflow 3.3")


def export_dag(tmp_path: Path, **arguments: Any) -> DAG:
    with new_dag("reattach") as dag:
        arguments = {
            "data_context": "identities",
            "destination": f"file://{tmp_path}/out.csv",
            "poll_interval": 0.05,
            "retry_delay": timedelta(0),
            **arguments,
        }
        OleriaDownloadOperator(task_id="export", **arguments)
    return dag


def created(sandbox: Sandbox) -> list[str]:
    return [call.download_id for call in sandbox.calls if call.kind == "create" and call.download_id]


def rotate(sandbox: Sandbox, *, client_id: bool) -> None:
    """Replace the secret, and the client id, in the sandbox and in the Connection: between two requests, for both."""

    async def rotate_both() -> None:
        (sandbox.rotate_credentials if client_id else sandbox.rotate_secret)()
        os.environ["AIRFLOW_CONN_OLERIA_DEFAULT"] = sandbox.connection_json()

    assert sandbox._loop
    asyncio.run_coroutine_threadsafe(rotate_both(), sandbox._loop).result()


@contextmanager
def when(happened: Callable[[], bool], then: Callable[[], Any]) -> Iterator[None]:
    """Do something as soon as something else has happened, from another thread; not after the block has ended."""
    ended = threading.Event()

    def watch() -> None:
        while not happened():
            if ended.wait(0.01):
                return
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
