"""One call at a time: whoever asks for the same meanwhile waits for that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls that are worth making once for many, told apart by a key; each event loop makes its own."""

    def __init__(self) -> None:
        self._flights: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Task[T]]] = (
            WeakKeyDictionary()
        )

    async def join(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The outcome of the call that is under way for ``key``, result or error; of a new one if there is none.

        :param key: what the call is about.
        :param call: makes it. It runs in a task of its own: whoever is cancelled leaves it to the others.
        """
        flights = self._flights.setdefault(asyncio.get_running_loop(), {})
        if key not in flights:
            flights[key] = asyncio.create_task(call())
            flights[key].add_done_callback(lambda _: _landed(flights.pop(key)))
        return await asyncio.shield(flights[key])


def _landed(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # taken note of: asyncio would complain where all who waited have been cancelled
