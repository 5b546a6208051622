"""``python -m airflow_provider_oleria.sandbox``: a local Oleria until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields

from airflow_provider_oleria.sandbox.server import Sandbox
from airflow_provider_oleria.sandbox.settings import Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted.

    :param arguments: the command line; default: ``sys.argv``.
    :return: the exit code.
    """
    options = vars(_parser().parse_args(arguments))
    # Blocked before any thread starts: only sigwait() below receives the signals.
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
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8089, help="port to listen on; 0 for any free one")
    parser.add_argument("--client-secret", help="the client's secret; random if not given")
    for setting in fields(Settings):
        name = f"--{setting.name.replace('_', '-')}"
        option = setting.metadata["kind"].option
        parser.add_argument(name, default=setting.default, help=setting.metadata["help"], **option)
    return parser


if __name__ == "__main__":
    sys.exit(main())
