"""What one export costs in a worker beyond its bare HTTP calls, against the sandbox: ``make bench``."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from document import machine, table, write_figures

EXPORTS, ROWS = 60, 1000


def main() -> None:
    """Export in turn with the hook and with bare requests in one session, and write the table."""
    with tempfile.TemporaryDirectory(prefix="bench-synchronous-") as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        _measure(Path(home))


def _measure(folder: Path) -> None:
    import requests

    from airflow_provider_oleria.hooks.oleria import OleriaHook
    from airflow_provider_oleria.sandbox import Sandbox

    where = machine()
    with Sandbox(rows=ROWS, export_seconds=0) as sandbox:
        os.environ["AIRFLOW_CONN_OLERIA_DEFAULT"] = sandbox.connection_json()
        form = {
            "grant_type": "client_credentials",
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "scope": sandbox.scope,
        }
        token = requests.post(sandbox.auth_url, data=form, timeout=60).json()["access_token"]
        downloads = f"{sandbox.api_url}/v1/downloads"
        hook = OleriaHook()

        def ours() -> None:
            created = hook.create_download("identities")
            hook.wait_for_download(created.download_id, poll_interval=0.001)
            hook.save_download(created.download_id, f"file://{folder}/ours.csv")

        def bare() -> None:
            with requests.Session() as session:
                session.headers["Authorization"] = f"Bearer {token}"
                export = session.post(downloads, json={"context": "identities"}).json()
                while export["status"] != "completed":
                    export = session.get(f"{downloads}/{export['id']}").json()
                answer = session.get(export["url"], headers={"Authorization": None})
                (folder / "bare.csv").write_bytes(answer.content)

        took: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": []}
        contenders = {"ours": ours, "bare": bare}
        for go in contenders.values():
            go()  # loads the libraries
        for _ in range(EXPORTS):
            for name, go in contenders.items():
                took[name].append(_timed(go))
    wall, cpu = (
        {name: statistics.median(run[i] for run in took[name]) * 1000 for name in took} for i in (0, 1)
    )
    write_figures(
        "synchronous",
        f"{where} {EXPORTS} exports of {ROWS} rows each, median.\n\n"
        + table(
            ["", "ours", "bare requests", "ours beyond them"],
            [
                ["wall, ms per export", *_row(wall)],
                ["CPU of the calling thread, ms per export", *_row(cpu)],
            ],
        ),
    )


def _timed(go: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU time of one export in a process of its own, as in Airflow: secrets to mask add up in one process."""

    def child() -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        go()
        sender.send((time.perf_counter() - wall, time.thread_time() - cpu))

    forked = multiprocessing.get_context("fork")
    receiver, sender = forked.Pipe(duplex=False)
    process = forked.Process(target=child)
    process.start()
    took: tuple[float, float] = receiver.recv()
    process.join()
    return took


def _row(figures: dict[str, float]) -> list[str]:
    ours, bare = figures["ours"], figures["bare"]
    return [f"{ours:.1f}", f"{bare:.1f}", f"{ours - bare:.1f} (× {ours / bare:.1f})"]


if __name__ == "__main__":
    main()
