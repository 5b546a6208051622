"""Thousands of waits on one triggerer, over TLS: ours, the HTTP provider's, and bare requests: ``make bench``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from document import machine, table, write_figures

HERE = Path(__file__).parent
COLUMNS = {
    "ours": "ours",
    "http": "HTTP provider",
    "floor": "bare request in a trigger",
    "bare": "bare loop without Airflow",
}


def main() -> None:
    """Measure one after the other and write the table."""
    options = _options()
    where = machine()
    with tempfile.TemporaryDirectory(prefix="bench-waiting-") as name:
        folder = Path(name)
        runs = {contender: _run(folder, contender, options) for contender in ("idle", *COLUMNS)}
    print(json.dumps(runs), file=sys.stderr)
    idle = runs.pop("idle")

    def per_poll(beyond: float) -> list[list[str]]:
        """CPU per poll, without the share of as many idle triggers."""
        took = {
            name: 1000 * (run["cpu"] - run["seconds"] * (0 if name == "bare" else beyond)) / run["polls"]
            for name, run in runs.items()
        }
        return [
            [f"{figure:.2f}" for figure in took.values()],
            [f"{figure / took['ours']:.2f}" for figure in took.values()],
        ]

    (cpu, ratio), (own_cpu, own_ratio) = per_poll(0), per_poll(idle["cpu"] / idle["seconds"])

    def row(what: str, figure: Callable[[dict[str, Any]], str]) -> list[str]:
        return [what, *(figure(run) if "open" in run else "–" for run in runs.values())]

    write_figures(
        "waiting",
        f"{where} {options.count} waits, one poll every {options.interval:g} s, measured for {options.seconds:g} s; "
        f"without load that is {options.count / options.interval / 0.875:.0f} polls a second. As many idle triggers "
        f"took {idle['cpu'] / idle['seconds']:.0%} of a core, and Airflow noted {idle['blocked']} times that its "
        "thread was blocked.\n\n"
        + table(
            ["", *COLUMNS.values()],
            [
                ["CPU per poll, ms", *cpu],
                ["× ours", *ratio],
                ["CPU per poll beyond idle triggers, ms", *own_cpu],
                ["× ours", *own_ratio],
                ["polls a second", *(f"{run['polls'] / run['seconds']:.0f}" for run in runs.values())],
                row("event loop's lag, p99, ms", _lag),
                row("“thread was blocked” lines", lambda run: str(run["blocked"])),
                row("open connections", lambda run: str(run["open"])),
                row("TLS handshakes per poll", lambda run: f"{run['handshakes'] / run['polls']:.2f}"),
                row(
                    "memory per wait beyond an idle trigger, KiB",
                    lambda run: f"{(run['rss_kib'] - idle['rss_kib']) / options.count:.1f}",
                ),
                row("tokens minted", lambda run: str(run["tokens"] or "–")),
            ],
        ),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="waits")
    parser.add_argument("--interval", type=float, default=20, help="seconds between two polls of a wait")
    parser.add_argument("--warm-up", type=float, default=45, help="seconds until the figures count")
    parser.add_argument("--seconds", type=float, default=30, help="for which they count")
    return parser.parse_args()


def _lag(run: dict[str, Any]) -> str:
    return f"{1000 * run['lag']['p99']:.0f}" if run["lag"] else "the probe did not run"


def _run(folder: Path, contender: str, options: argparse.Namespace) -> dict[str, Any]:
    print(f"{contender} …", file=sys.stderr)
    numbers = [str(number) for number in (options.count, options.interval, options.warm_up, options.seconds)]
    with _api(folder) as url:
        program = ["bare_loop.py"] if contender == "bare" else ["triggerer.py", contender]
        ended = subprocess.run(
            [sys.executable, *program, *numbers, url],
            cwd=HERE,
            env=_environment(folder, url),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            text=True,
        )
    *log, result = ended.stdout.splitlines()
    return {**json.loads(result), "blocked": sum("thread was blocked" in line for line in log)}


@contextmanager
def _api(folder: Path) -> Iterator[str]:
    server = subprocess.Popen([sys.executable, HERE / "api_server.py", folder], stdout=subprocess.PIPE)
    assert server.stdout
    try:
        yield f"https://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.terminate()
        server.wait()


def _environment(folder: Path, url: str) -> dict[str, str]:
    bundle = str(folder / "ca.pem")
    ours = {
        "conn_type": "oleria",
        "host": url,
        "login": "client",
        "password": "secret",
        "extra": {"auth_url": f"{url}/oauth2/token", "verify": bundle},
    }
    return os.environ | {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_OLERIA_DEFAULT": json.dumps(ours),
        "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps({"conn_type": "http", "host": url}),
        "SSL_CERT_FILE": bundle,
    }


if __name__ == "__main__":
    main()
