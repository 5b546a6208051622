"""One reading of a Connection for all waits that need it, whichever is cancelled."""

from __future__ import annotations

import asyncio
import gc

from airflow_provider_oleria.api.loop_state import CachedConnection
from airflow_provider_oleria.connection.settings import Settings

SETTINGS = Settings("http://localhost:1", "http://localhost:1/token", "client", "secret")


class Reading:
    """Reads a Connection: each call ends when ``go`` is set."""

    def __init__(self, *problems: Exception) -> None:
        self.calls = 0
        self.go = asyncio.Event()
        self._problems = list(problems)

    async def __call__(self) -> Settings:
        self.calls += 1
        await self.go.wait()
        if self._problems:
            raise self._problems.pop()
        return SETTINGS


async def _waiting(connection: CachedConnection, count: int = 3) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(connection.refresh(ttl=0.0)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_all_waits_share_a_reading_and_the_next_has_a_new_one() -> None:
    async def main() -> None:
        read = Reading()
        connection = CachedConnection(read)
        tasks = await _waiting(connection)
        read.go.set()
        await asyncio.gather(*tasks)
        assert connection.access.settings is SETTINGS
        assert read.calls == 1

        await connection.refresh(ttl=0.0)
        assert read.calls == 2

    asyncio.run(main())


def test_the_first_may_be_cancelled() -> None:
    async def main() -> None:
        read = Reading()
        first, *others = await _waiting(CachedConnection(read))
        first.cancel()
        await asyncio.wait([first])
        read.go.set()
        await asyncio.gather(*others)
        assert first.cancelled()
        assert read.calls == 1

    asyncio.run(main())


def test_an_error_reaches_all_and_does_not_stay() -> None:
    async def main() -> None:
        read = Reading(ValueError("no"))
        connection = CachedConnection(read)
        tasks = await _waiting(connection)
        read.go.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["no"] * 3

        await connection.refresh(ttl=0.0)
        assert connection.access.settings is SETTINGS

    asyncio.run(main())


def test_an_error_no_wait_receives_is_not_logged() -> None:
    complaints: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        read = Reading(ValueError("no"))
        tasks = await _waiting(CachedConnection(read))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        (reading,) = asyncio.all_tasks() - {asyncio.current_task()}
        read.go.set()
        await asyncio.wait([reading])

    asyncio.run(main())
    gc.collect()
    assert not complaints


def test_a_wait_compares_with_what_another_has_read() -> None:
    async def main() -> None:
        read = Reading()
        read.go.set()
        connection = CachedConnection(read)
        await connection.refresh()
        older = Settings("http://localhost:2", SETTINGS.auth_url, "client", "secret")
        assert await connection.has_changed(older)
        assert read.calls == 1
        assert not await connection.has_changed(SETTINGS)
        assert read.calls == 2

    asyncio.run(main())
