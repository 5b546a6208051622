"""Thousands of waits on one triggerer, over TLS: ours, the HTTP provider's, and a bare event loop: ``make bench``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from document import keep, machine, table

HERE = Path(__file__).parent


def main() -> None:
    """Measure one after the other, and keep the table."""
    options = _options()
    where = machine()
    with tempfile.TemporaryDirectory(prefix="bench-waiting-") as name:
        folder = Path(name)
        runs = {contender: _run(folder, contender, options) for contender in ("idle", "bare", "ours", "http")}
    ours, http, bare = (_per_poll(runs[name]) for name in ("ours", "http", "bare"))
    print(json.dumps(runs), file=sys.stderr)
    keep(
        "waiting",
        f"{where} {options.count} waits, a question each {options.interval:g} s, {options.seconds:g} s looked at; "
        f"without load that is {options.count / options.interval / 0.875:.0f} polls a second.\n\n"
        + table(
            ["", "ours", "HTTP provider", "bare loop"],
            [
                ["CPU per poll, ms", f"{ours:.2f}", f"{http:.2f}", f"{bare:.2f}"],
                ["× ours", "1", f"{http / ours:.1f}", f"{bare / ours:.2f}"],
                [
                    "polls a second",
                    *(f"{runs[n]['polls'] / runs[n]['seconds']:.0f}" for n in ("ours", "http", "bare")),
                ],
                ["event loop's lag, p99, ms", _lag(runs["ours"]), _lag(runs["http"]), "–"],
                ["“thread was blocked” lines", *(str(runs[n]["blocked"]) for n in ("ours", "http")), "–"],
                ["open connections", *(str(runs[n]["open"]) for n in ("ours", "http")), "–"],
                [
                    "TLS handshakes per poll",
                    *(f"{runs[n]['handshakes'] / runs[n]['polls']:.2f}" for n in ("ours", "http")),
                    "–",
                ],
                [
                    "memory per wait beyond an idle trigger, KiB",
                    *(
                        f"{(runs[n]['rss_kib'] - runs['idle']['rss_kib']) / options.count:.1f}"
                        for n in ("ours", "http")
                    ),
                    "–",
                ],
                ["tokens minted", str(runs["ours"]["tokens"]), "one per task", "–"],
            ],
        ),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="waits")
    parser.add_argument("--interval", type=float, default=20, help="seconds between two questions of a wait")
    parser.add_argument("--warm-up", type=float, default=45, help="seconds until the figures count")
    parser.add_argument("--seconds", type=float, default=30, help="for which they count")
    return parser.parse_args()


def _per_poll(run: dict[str, Any]) -> float:
    return 1000 * float(run["cpu"]) / int(run["polls"])


def _lag(run: dict[str, Any]) -> str:
    return f"{1000 * run['lag']['p99']:.0f}" if run["lag"] else "the probe did not get to run"


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
