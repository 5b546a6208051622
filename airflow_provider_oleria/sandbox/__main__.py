"""``python -m airflow_provider_oleria.sandbox``: a local Oleria until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import shlex
import signal
import sys
from collections.abc import Sequence

from airflow_provider_oleria.sandbox.server import Sandbox
from airflow_provider_oleria.sandbox.settings import CONTENT_ENCODINGS, DEPARTURES, Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted.

    :param arguments: the command line; ``sys.argv`` unless given.
    :returns: the exit code.
    """
    options = vars(_parser().parse_args(arguments))
    # Blocked before any thread starts, so that a signal reaches nothing but sigwait() below.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        sandbox = Sandbox(**options).start()
    except (ValueError, OverflowError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except OSError as problem:
        taken = problem.errno == errno.EADDRINUSE
        why = "is taken; --port 0 takes any free one" if taken else f"cannot be used: {problem.strerror}"
        print(f"error: port {options['port']} on {options['host']} {why}", file=sys.stderr)
        return 1
    try:
        print(f"Oleria sandbox at {sandbox.api_url}; Ctrl-C ends it. Point Airflow at it with:\n")
        print(f"export AIRFLOW_CONN_OLERIA_DEFAULT={shlex.quote(sandbox.connection_json())}\n", flush=True)
        signal.sigwait(_SIGNALS)
    finally:
        sandbox.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_oleria.sandbox",
        description="A local Oleria: the published API over made-up data, to try DAGs without a tenant.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=8089, help="port to listen on; 0 for any free one")
    add("--rows", type=int, default=Settings.rows, help="rows of each data context, before filters")
    add("--seed", type=int, default=Settings.seed, help="other rows for another seed")
    add(
        "--day",
        type=int,
        default=Settings.day,
        help="how many days the tenant has lived on; each changes something",
    )
    add("--export-seconds", type=float, default=Settings.export_seconds, help="how long an export takes")
    add("--token-seconds", type=float, default=Settings.token_seconds, help="life of a token")
    add("--url-seconds", type=float, default=Settings.url_seconds, help="life of a presigned URL")
    add("--rate-limit", type=int, help="API calls per second before 429")
    encodings = [encoding for encoding in CONTENT_ENCODINGS if encoding]
    add("--content-encoding", choices=encodings, help="store the CSV compressed")
    add(
        "--depart",
        dest="departures",
        action="append",
        default=[],
        choices=DEPARTURES,
        metavar="HOW",
        help="depart from the published contract; may be given several times: "
        + "; ".join(f"{name}: {what}" for name, what in DEPARTURES.items()),
    )
    add("--client-secret", help="the client's secret; made up unless given")
    return parser


if __name__ == "__main__":
    sys.exit(main())
