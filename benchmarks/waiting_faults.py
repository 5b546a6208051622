"""Thousands of waits through an outage, large answers and few file descriptors: ``make bench-faults``.

Prints the figures in docs/scale.md, as JSON. The triggers, and a log file for each, run in Airflow's trigger runner and
its supervisor, as in ``triggerer.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from document import machine
from waiting import _api, _environment

LARGE = {"filler": ["x" * 19] * 9_000}
"""About 200 KB, in nearly as many values as the package parses."""

LIMITS = {"outage": (sys.maxsize, sys.maxsize), "answers": (sys.maxsize, 256), "log-files": (256, 256)}
"""Most open files of supervisor and runner, by scenario."""


class Run:
    """Waits in a triggerer, and what was seen of them.

    :param folder: for logs and the certificate.
    :param url: of the API server.
    :param count: waits.
    :param interval: seconds between two polls of a wait.
    :param limits: most open files of supervisor and runner.
    """

    def __init__(self, folder: Path, url: str, count: int, interval: float, limits: tuple[int, int]) -> None:
        from airflow.jobs.triggerer_job_runner import TriggerLoggingFactory
        from triggerer import SEEN, Triggerer, figures, rows, rss_kib

        self.url, self.count = url, count
        self.seen, self._figures, self._rss_kib = SEEN, figures, rss_kib
        self.peaks: Counter[str] = Counter()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        of_supervisor, of_runner = (min(limit, hard) for limit in limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (of_runner, hard))
        self.triggerer = Triggerer.start(job=None, capacity=count + 1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (of_supervisor, hard))
        # A log file for each trigger, as Airflow opens it for that of a task.
        logs = {
            number: TriggerLoggingFactory(log_path=f"{number}.log", ti=None) for number in range(1, count + 1)
        }
        self.triggerer.logger_cache.update(logs)
        self.serve(3)
        self.triggerer.start_triggers(rows("ours", count, interval), first_id=1)
        self.serve(1800, lambda _: all(hasattr(log, "bound_logger") for log in logs.values()))
        self.probe = folder / "ended"
        self.triggerer.start_triggers([("rival_triggers.StepProbe", {"until": str(self.probe)})], count + 1)
        self.serve(10)
        self.undisturbed_kib = rss_kib(self.triggerer.pid)

    def serve(
        self, seconds: float, reached: Callable[[dict[str, Any]], bool] = lambda _: False
    ) -> dict[str, Any]:
        """Run for ``seconds`` seconds, or until the server's figures are ``reached``.

        :return: how these have grown, and when the last download was polled for the first time since :meth:`change`.
        """
        before = after = self._figures(self.url)
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at and not reached(after):
            self.triggerer.serve(1)
            after = self._figures(self.url)
            self._note_peak("connections to the server", after["open"])
            for name, pid in (("supervisor", os.getpid()), ("runner", self.triggerer.pid)):
                self._note_peak(f"descriptors of the {name}", len(os.listdir(f"/proc/{pid}/fd")))
            self._note_peak("memory of the runner, KiB", self._rss_kib(self.triggerer.pid))
        growth = {name: after[name] - before[name] for name in ("polls", "tokens")}
        return {**growth, "polled": after["polled"], "last first poll after, s": after["seconds"]}

    def all_polled(self, figures: dict[str, Any]) -> bool:
        """Whether all waits have polled since the last change of the server."""
        return bool(figures["polled"] == self.count)

    def all_ended(self, _figures: dict[str, Any]) -> bool:
        """Whether all waits have ended."""
        return bool(self.seen["completed"] + self.seen["failures"] >= self.count)

    def change(self, **attributes: Any) -> None:
        """Change the server."""
        self._figures(self.url, attributes)

    def finish(self) -> dict[str, Any]:
        """End, and return what was seen."""
        self.probe.touch()
        self.serve(120, lambda _: self.seen["lag"] is not None)
        self.triggerer.kill(escalation_delay=5, force=True)
        above = (self.peaks["memory of the runner, KiB"] - self.undisturbed_kib) / 1024
        return {**self.seen, **self.peaks, "MiB above undisturbed waits": above}

    def _note_peak(self, what: str, figure: int) -> None:
        self.peaks[what] = max(self.peaks[what], figure)


def outage(run: Run, seconds: float) -> dict[str, Any]:
    """The token endpoint answers 503 for ``seconds`` seconds; the tokens expire within the first ten."""
    run.change(unavailable=True)
    during = run.serve(seconds)
    run.change(unavailable=False, lifetime=3600, status="completed", fields={"url": f"{run.url}/file"})
    return {"during": during, "after": run.serve(1800, run.all_ended)}


def answers(run: Run) -> dict[str, Any]:
    """Each wait polls with a large answer, and completes with another."""
    run.change(fields=LARGE)
    during = run.serve(1800, run.all_polled)
    run.change(status="completed", fields={**LARGE, "url": f"{run.url}/file"})
    return {"during": during, "after": run.serve(1800, run.all_ended)}


def main() -> None:
    """Run one scenario."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenario", choices=LIMITS)
    parser.add_argument("--count", type=int, default=5000, help="waits")
    parser.add_argument("--interval", type=float, default=60, help="seconds between two polls of a wait")
    parser.add_argument("--seconds", type=float, default=600, help="that the outage lasts")
    options = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as name, _api(folder := Path(name)) as url:
        os.environ.update(_environment(folder, url))
        from triggerer import figures

        figures(url, {"lifetime": 20 if options.scenario == "outage" else 3600})
        run = Run(folder, url, options.count, options.interval, LIMITS[options.scenario])
        seen = outage(run, options.seconds) if options.scenario == "outage" else answers(run)
        result = {
            "where": where,
            "Airflow": version("apache-airflow"),
            **vars(options),
            **seen,
            **run.finish(),
        }
    print(json.dumps(result, indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
