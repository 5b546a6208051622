"""The rivals: the HTTP provider's trigger, bare requests, an idle trigger, and probes of the event loop."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import accumulate
from typing import Any, ClassVar

import aiohttp
from airflow.providers.http.triggers.http import HttpTrigger
from airflow.triggers.base import BaseTrigger, TriggerEvent


class HttpWait(HttpTrigger):
    """``HttpTrigger``'s request, again and again: a session, and so a TLS handshake, for each.

    :param interval: seconds between two polls.
    """

    def __init__(self, interval: float, **kwargs: Any) -> None:
        super().__init__(method="GET", **kwargs)
        self.interval = interval

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the download is complete."""
        hook = self._get_async_hook()
        await asyncio.sleep(random.random() * self.interval)  # noqa: S311  # as ours
        while True:
            body = json.loads((await self._get_response(hook)).content)
            if body["status"] != "accepted":
                yield TriggerEvent(body)
                return
            await asyncio.sleep(self.interval * random.uniform(0.75, 1))  # noqa: S311  # as ours


class BareWait(BaseTrigger):
    """The lower bound inside Airflow: bare requests over one session with a fixed token.

    :param endpoint: the download's path.
    :param interval: seconds between two polls.
    :param headers: with the token.
    """

    session: ClassVar[aiohttp.ClientSession | None] = None

    def __init__(self, endpoint: str, interval: float, headers: dict[str, str]) -> None:
        super().__init__()
        self.endpoint, self.interval, self.headers = endpoint, interval, headers

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Its class path and arguments."""
        arguments = {"endpoint": self.endpoint, "interval": self.interval, "headers": self.headers}
        return f"{__name__}.BareWait", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the download is complete."""
        if BareWait.session is None:
            BareWait.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50))
        url = f"{json.loads(os.environ['AIRFLOW_CONN_HTTP_DEFAULT'])['host']}/{self.endpoint}"
        await asyncio.sleep(random.random() * self.interval)  # noqa: S311  # as ours
        while True:
            async with BareWait.session.get(url, headers=self.headers) as response:
                body = json.loads(await response.read())
            if body["status"] != "accepted":
                yield TriggerEvent(body)
                return
            await asyncio.sleep(self.interval * random.uniform(0.75, 1))  # noqa: S311  # as ours


class Idle(BaseTrigger):
    """A trigger that only sleeps: what any trigger costs Airflow."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """It has no arguments."""
        return f"{__name__}.Idle", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep."""
        await asyncio.sleep(24 * 3600)
        yield TriggerEvent({})


class LagProbe(BaseTrigger):
    """Measures how late the event loop wakes a sleeper.

    :param seconds: for how long.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Its class path and arguments."""
        return f"{__name__}.LagProbe", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire the lags' 99th percentile and maximum, in seconds."""
        lags, ends_at = [], time.monotonic() + self.seconds
        while (began := time.monotonic()) < ends_at:
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - began - 0.01)
        lags.sort()
        yield TriggerEvent({"p99": lags[int(0.99 * len(lags))], "max": lags[-1]})


class StepProbe(BaseTrigger):
    """Measures the CPU time that each step of the event loop takes.

    :param until: a file; the probe ends when it is there.
    """

    def __init__(self, until: str) -> None:
        super().__init__()
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Its class path and arguments."""
        return f"{__name__}.StepProbe", {"until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire the steps' number, 99th percentile and maximum, in seconds of CPU time of the event loop's thread."""
        counts: Counter[int] = Counter()  # by tenths of a millisecond, rounded up
        run = asyncio.Handle._run

        def measured(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            counts[math.ceil(10_000 * (time.thread_time() - began))] += 1

        asyncio.Handle._run = measured
        while not os.path.exists(self.until):  # noqa: ASYNC110, ASYNC240  # set by another process
            await asyncio.sleep(0.2)
        asyncio.Handle._run = run
        steps, longest = counts.total(), sorted(counts)
        below = accumulate(counts[took] for took in longest)
        p99 = next(took for took, number in zip(longest, below, strict=True) if number >= 0.99 * steps)
        yield TriggerEvent({"steps": steps, "p99": p99 / 10_000, "max": longest[-1] / 10_000})
