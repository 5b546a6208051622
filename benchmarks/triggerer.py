"""One triggerer full of waits: ``python triggerer.py ours|http|floor|idle COUNT INTERVAL WARM_UP SECONDS API_URL``.

Runs Airflow's trigger runner and its supervisor; the triggers come from this program instead of the database. Prints
Airflow's log and, on the last line as JSON, the figures of ``SECONDS`` after ``WARM_UP``.
"""

from __future__ import annotations

import json
import os
import resource
import ssl
import sys
import time
import urllib.request
from typing import Any

from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.models.trigger import Trigger

RIVALS = {"http": "rival_triggers.HttpWait", "floor": "rival_triggers.BareWait"}

SEEN: dict[str, Any] = {"failures": 0, "lag": None, "completed": 0}


class Triggerer(TriggerRunnerSupervisor):
    """A supervisor without a database."""

    def on_trigger_event(self, trigger_id: int, event: Any) -> None:
        """Store the probe's result, and count the other events."""
        if "p99" in event.payload:
            SEEN["lag"] = event.payload
        elif event.payload.get("status") == "completed":
            SEEN["completed"] += 1
        else:
            SEEN["failures"] += 1

    def on_trigger_failure(self, trigger_id: int, exc: Any) -> None:
        """Count a failure."""
        SEEN["failures"] += 1

    def start_triggers(self, rows: list[tuple[str, dict[str, Any]]], first_id: int) -> None:
        """Queue triggers, as rows from the database."""
        self.creating_triggers.extend(
            RunTrigger(
                id=first_id + number, classpath=path, encrypted_kwargs=Trigger.encrypt_kwargs(arguments)
            )
            for number, (path, arguments) in enumerate(rows)
        )

    def serve(self, seconds: float) -> None:
        """Run the supervisor for ``seconds`` seconds."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            self._service_subprocess(min(left, 0.2))
            self.handle_events()
            self.handle_failed_triggers()


def rows(contender: str, count: int, interval: float) -> list[tuple[str, dict[str, Any]]]:
    """The triggers' class path and arguments."""
    if contender == "idle":
        return [("rival_triggers.Idle", {})] * count
    if contender in RIVALS:
        arguments = {"interval": interval, "headers": {"Authorization": "Bearer " + "token" * 200}}
        return [
            (RIVALS[contender], {**arguments, "endpoint": f"v1/downloads/export-{number}"})
            for number in range(count)
        ]
    path = "airflow_provider_oleria.triggers.oleria.OleriaDownloadTrigger"
    limits = {"poll_interval": interval, "max_poll_interval": interval}
    return [(path, {"download_id": f"export-{number}", **limits}) for number in range(count)]


def main(
    contender: str, count: int, interval: float, warm_up: float, seconds: float, api_url: str
) -> dict[str, Any]:
    """Fill a triggerer, warm up, and measure."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    triggerer = Triggerer.start(job=None, capacity=count + 1)
    triggerer.serve(3)
    triggerer.start_triggers(rows(contender, count, interval), first_id=1)
    triggerer.serve(warm_up)
    triggerer.start_triggers([("rival_triggers.LagProbe", {"seconds": seconds - 2})], first_id=count + 1)
    before, cpu = figures(api_url), _cpu(triggerer.pid)
    began = time.monotonic()
    triggerer.serve(seconds)
    after, cpu = figures(api_url), _cpu(triggerer.pid) - cpu
    took = time.monotonic() - began
    rss = rss_kib(triggerer.pid)
    triggerer.serve(3)  # for the probe's event
    triggerer.kill(escalation_delay=5, force=True)
    return {
        **SEEN,
        "polls": after["polls"] - before["polls"],
        "handshakes": after["connections"] - before["connections"],
        "open": after["open"],
        "tokens": after["tokens"],
        "seconds": took,
        "cpu": cpu,
        "rss_kib": rss,
    }


def figures(api_url: str, change: dict[str, Any] | None = None) -> dict[str, Any]:
    """The server's figures; or, with ``change``, set its attributes."""
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    url = f"{api_url}/figures" if change is None else f"{api_url}/set"
    data = None if change is None else json.dumps(change).encode()
    with urllib.request.urlopen(url, data, context=context) as response:  # noqa: S310  # our own server
        result: dict[str, Any] = json.load(response)
    return result


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kib(pid: int) -> int:
    """The memory of a process."""
    with open(f"/proc/{pid}/status") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


if __name__ == "__main__":
    name, *numbers, url = sys.argv[1:]
    print(json.dumps(main(name, int(numbers[0]), *map(float, numbers[1:]), url)))
