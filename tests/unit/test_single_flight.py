"""One call for many callers, whichever is cancelled."""

from __future__ import annotations

import asyncio

from airflow_provider_oleria.api.single_flight import SingleFlight


class Work:
    """A call that ends when ``go`` is set."""

    def __init__(self, outcome: str | Exception = "done") -> None:
        self.calls = 0
        self.go = asyncio.Event()
        self._outcome = outcome

    async def __call__(self) -> str:
        self.calls += 1
        await self.go.wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


async def _waiting(flights: SingleFlight[str], work: Work, count: int = 3) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(flights.join("key", work)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_all_callers_get_one_outcome_and_the_next_a_new_one() -> None:
    async def main() -> None:
        flights: SingleFlight[str] = SingleFlight()
        work = Work()
        tasks = await _waiting(flights, work)
        work.go.set()
        assert await asyncio.gather(*tasks) == ["done"] * 3
        assert work.calls == 1

        assert await flights.join("key", work) == "done"
        assert work.calls == 2

    asyncio.run(main())


def test_the_first_may_be_cancelled() -> None:
    async def main() -> None:
        work = Work()
        first, *others = await _waiting(SingleFlight(), work)
        first.cancel()
        await asyncio.wait([first])
        work.go.set()
        assert await asyncio.gather(*others) == ["done"] * 2
        assert first.cancelled()
        assert work.calls == 1

    asyncio.run(main())


def test_an_error_reaches_all_and_does_not_stay() -> None:
    async def main() -> None:
        flights: SingleFlight[str] = SingleFlight()
        failing = Work(ValueError("no"))
        tasks = await _waiting(flights, failing)
        failing.go.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["no"] * 3

        good = Work()
        good.go.set()
        assert await flights.join("key", good) == "done"

    asyncio.run(main())


def test_an_error_no_caller_waits_for_is_not_logged() -> None:
    complaints: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        work = Work(ValueError("no"))
        tasks = await _waiting(SingleFlight(), work)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        work.go.set()
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert not complaints


def test_keys_are_separate() -> None:
    async def main() -> None:
        flights: SingleFlight[str] = SingleFlight()
        works = {key: Work(key) for key in ("a", "b")}
        for work in works.values():
            work.go.set()
        assert await asyncio.gather(*(flights.join(key, work) for key, work in works.items())) == ["a", "b"]

    asyncio.run(main())


def test_each_event_loop_makes_its_own() -> None:
    flights: SingleFlight[str] = SingleFlight()

    async def main() -> str:
        work = Work()
        work.go.set()
        return await flights.join("key", work)

    assert [asyncio.run(main()) for _ in range(2)] == ["done"] * 2
