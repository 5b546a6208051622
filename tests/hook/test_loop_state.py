"""What all who wait in one event loop share, against the sandbox: real sockets, real cancellation."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from airflow_provider_oleria.api import loop_state
from airflow_provider_oleria.api.protocol import Flow, Request, Sleep
from airflow_provider_oleria.api.responses import Response
from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger

pytestmark = pytest.mark.usefixtures("nothing_left_open")

MANY = 300


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Connections read from event loops, in order."""
    read: list[str] = []
    original = OleriaHook._aread

    async def counted(self: OleriaHook) -> Any:
        read.append(self.oleria_conn_id)
        await asyncio.sleep(0.05)  # as long as it takes Airflow, so that many come in that time
        return await original(self)

    monkeypatch.setattr(OleriaHook, "_aread", counted)
    return read


@pytest.fixture
def nothing_left_open() -> Iterator[None]:
    """No session, no connection and no task is left behind."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert not [str(warning.message) for warning in caught if "nclosed" in str(warning.message)]
    assert not loop_state._states


@pytest.fixture
def export(oleria_sandbox: Sandbox) -> str:
    """An export that takes a while."""
    oleria_sandbox.settings.export_seconds = 3600
    created = OleriaHook().create_download(DataContext.IDENTITIES)
    oleria_sandbox.reset()
    return created.download_id


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop that complains of nothing."""
    complaints: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await main

    asyncio.run(watched())
    assert not complaints


async def fired(trigger: OleriaDownloadTrigger) -> Any:
    return [event.payload async for event in trigger.run()]


def waits(download_id: str, count: int, **arguments: Any) -> list[asyncio.Task[Any]]:
    """So many triggers at work in this event loop."""
    arguments = {"poll_interval": 0.5, "max_poll_interval": 0.5, **arguments}
    return [asyncio.create_task(fired(OleriaDownloadTrigger(download_id, **arguments))) for _ in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until it holds."""
    while not condition():  # noqa: ASYNC110  # what happens at the sandbox is no event here
        await asyncio.sleep(0.01)


async def asked(sandbox: Sandbox, times: int) -> None:
    """Until this many requests were answered."""
    await until(lambda: [call.kind for call in sandbox.calls if call.status == 200].count("get") >= times)


def completed(download_id: str) -> list[dict[str, str]]:
    return [{"download_id": download_id, "status": "completed"}]


def test_a_burst_of_waits_shares_token_connections_and_one_reading(
    oleria_sandbox: Sandbox, export: str, readings: list[str]
) -> None:
    from airflow_provider_oleria.api.tokens import TOKENS

    TOKENS.clear()

    async def main() -> None:
        tasks = waits(export, MANY)
        await asked(oleria_sandbox, 2 * MANY)
        oleria_sandbox.settings.export_seconds = 0
        assert await asyncio.gather(*tasks) == [completed(export)] * MANY

    run(main())

    assert readings == ["oleria_default"]
    assert oleria_sandbox.count("token") == 1
    clients = {call.client for call in oleria_sandbox.calls if call.kind == "get"}
    # MAX_IN_FLIGHT at a time; on a slow machine, idle connections are closed and replaced.
    assert len(clients) < MANY


def test_a_rotation_is_noticed_by_one_for_all(
    oleria_sandbox: Sandbox, export: str, readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        tasks = waits(export, MANY)
        await asked(oleria_sandbox, MANY)
        oleria_sandbox.rotate_secret()
        monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", oleria_sandbox.connection_json())
        await asked(oleria_sandbox, 3 * MANY)
        oleria_sandbox.settings.export_seconds = 0
        assert await asyncio.gather(*tasks) == [completed(export)] * MANY

    run(main())

    assert readings == ["oleria_default"] * 2
    refused = [call for call in oleria_sandbox.calls if call.kind == "token" and call.status != 200]
    # One, and the callers between the refusal and the new reading.
    assert 1 <= len(refused) <= MANY / 10


def test_a_cancelled_wait_leaves_reading_and_token_to_the_others(
    oleria_sandbox: Sandbox, export: str, readings: list[str]
) -> None:
    oleria_sandbox.settings.export_seconds = 0
    oleria_sandbox.revoke_tokens()
    oleria_sandbox.fail(Fault(kind="token", delay=0.3))

    async def main() -> None:
        first, *others = waits(export, 3, poll_interval=0.05, max_poll_interval=0.05)
        await until(lambda: bool(readings))
        first.cancel()
        await until(lambda: oleria_sandbox.count("token") > 0)
        others.pop().cancel()
        assert await asyncio.gather(*others) == [completed(export)]

    run(main())

    assert readings == ["oleria_default"]
    assert oleria_sandbox.count("token") == 1


def test_all_cancelled_at_once_leave_nothing_open(oleria_sandbox: Sandbox, export: str) -> None:
    async def main() -> None:
        tasks = waits(export, 50, poll_interval=0.05, max_poll_interval=0.05)
        await asked(oleria_sandbox, 50)
        for task in tasks:
            task.cancel()
        assert all(isinstance(end, asyncio.CancelledError) for end in await _ends(tasks))

    run(main())


def test_a_loop_that_ends_in_the_middle_leaves_nothing_open(oleria_sandbox: Sandbox, export: str) -> None:
    async def main() -> None:
        waits(export, 50, poll_interval=0.05, max_poll_interval=0.05)
        await asked(oleria_sandbox, 50)
        # asyncio.run() cancels what is left, as it does when a triggerer is stopped.

    run(main())


def test_waits_that_come_after_the_last_has_left_open_again(oleria_sandbox: Sandbox, export: str) -> None:
    oleria_sandbox.settings.export_seconds = 0

    async def main() -> None:
        for _ in range(2):
            assert await asyncio.gather(*waits(export, 2, poll_interval=0.01)) == [completed(export)] * 2
            assert not loop_state._states

    run(main())


def test_a_changed_connection_is_read_for_who_comes_later(
    oleria_sandbox: Sandbox, export: str, readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        waiting = waits(export, 1)
        await asked(oleria_sandbox, 1)
        await OleriaHook().aget_download(export)
        assert len(readings) == 1
        async with loop_state.shared_state() as state:
            await state.connection("oleria_default", OleriaHook()._aread).refresh(ttl=0.0)
        assert len(readings) == 2
        oleria_sandbox.settings.export_seconds = 0
        await asyncio.gather(*waiting)

    run(main())


def test_connections_to_one_tenant_share_sockets_and_token(
    oleria_sandbox: Sandbox, export: str, readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", oleria_sandbox.connection_json())

    async def main() -> None:
        waiting = waits(export, 1, poll_interval=3600, max_poll_interval=3600)
        for conn_id in ("oleria_default", "other") * 3:
            await OleriaHook(conn_id).aget_download(export)
        waiting[0].cancel()
        await _ends(waiting)

    run(main())

    assert sorted(readings) == ["oleria_default", "other"]
    assert oleria_sandbox.count("token") == 0  # that of the process that created the download is used
    assert len({call.client for call in oleria_sandbox.calls}) == 1


def test_a_broken_connection_fails_its_own_waits_alone(
    oleria_sandbox: Sandbox, export: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps({"conn_type": "oleria"}))

    async def main() -> None:
        oleria_sandbox.settings.export_seconds = 0
        good = waits(export, 2, poll_interval=0.01)
        broken = waits(export, 2, oleria_conn_id="broken")
        assert await asyncio.gather(*good) == [completed(export)] * 2
        for (event,) in await asyncio.gather(*broken):
            assert event["error"] == "OleriaConfigurationError"

    run(main())


def test_a_row_of_an_earlier_version_still_waits(oleria_sandbox: Sandbox, export: str) -> None:
    _, arguments = OleriaDownloadTrigger(export, poll_interval=0.01, max_poll_interval=0.01).serialize()
    del arguments["started_at"]
    oleria_sandbox.settings.export_seconds = 0

    async def main() -> None:
        assert await fired(OleriaDownloadTrigger(**arguments)) == completed(export)

    run(main())


async def _ends(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_a_flow_that_sleeps_keeps_no_response(export: str) -> None:
    async def main() -> None:
        asleep = asyncio.Event()
        kept: list[weakref.ref[Response]] = []

        def flow() -> Flow[None]:
            kept.append(weakref.ref((yield Request("GET", f"/v1/downloads/{export}"))))
            asleep.set()
            yield Sleep(3600)

        async with await OleriaHook()._async_client() as client:
            running = asyncio.create_task(client.run(flow()))
            await asleep.wait()
            assert kept[0]() is None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(main())
