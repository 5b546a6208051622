"""The lower bound: ``python bare_loop.py COUNT INTERVAL WARM_UP SECONDS API_URL``.

One event loop, one session, ``COUNT`` tasks that send the same requests and read the JSON. Prints, as JSON, the CPU
time and the number of requests in ``SECONDS`` after ``WARM_UP``.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

import aiohttp

HEADERS = {"Authorization": "Bearer " + "token" * 200}


async def main(count: int, interval: float, warm_up: float, seconds: float, api_url: str) -> dict[str, Any]:
    """Run the tasks."""
    polls = 0

    async def wait(url: str) -> None:
        nonlocal polls
        await asyncio.sleep(random.random() * interval)  # noqa: S311  # as ours
        while True:
            async with session.get(url, headers=HEADERS) as response:
                assert json.loads(await response.read())["status"] == "accepted"
            polls += 1
            await asyncio.sleep(interval * random.uniform(0.75, 1))  # noqa: S311  # as ours

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as session:
        waits = [asyncio.create_task(wait(f"{api_url}/v1/downloads/export-{n}")) for n in range(count)]
        await asyncio.sleep(warm_up)
        before, cpu = polls, time.process_time()
        await asyncio.sleep(seconds)
        result = {"polls": polls - before, "cpu": time.process_time() - cpu, "seconds": seconds}
        for task in waits:
            task.cancel()
    return result


if __name__ == "__main__":
    *numbers, url = sys.argv[1:]
    print(json.dumps(asyncio.run(main(int(numbers[0]), *map(float, numbers[1:]), url))))
