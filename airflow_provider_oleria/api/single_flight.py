"""Share one running call among all callers with the same key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Running calls by key. Each event loop has its own."""

    def __init__(self) -> None:
        self._flights: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Task[T]]] = (
            WeakKeyDictionary()
        )

    async def join(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return, or raise, the outcome of the running call for ``key``. Start one if none is running.

        :param key: identifies the call.
        :param call: makes it, in a task of its own: a caller that is cancelled does not cancel it for the others.
        """
        flights = self._flights.setdefault(asyncio.get_running_loop(), {})
        if key not in flights:
            flights[key] = asyncio.create_task(call())
            flights[key].add_done_callback(lambda _: _retrieve_error(flights.pop(key)))
        return await asyncio.shield(flights[key])


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # asyncio logs an error that no caller has retrieved
