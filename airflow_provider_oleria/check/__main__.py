"""``python -m airflow_provider_oleria.check [conn id]``: starts one small export, and prints a table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, cast

from airflow_provider_oleria import __version__
from airflow_provider_oleria.api.client import OleriaSession
from airflow_provider_oleria.check.assumptions import ASSUMPTIONS
from airflow_provider_oleria.check.calls import Calls
from airflow_provider_oleria.check.evidence import gather
from airflow_provider_oleria.check.table import looked_at, rendered
from airflow_provider_oleria.compat import AirflowException, read_connections_outside_tasks
from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.hooks.oleria import OleriaHook


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a tenant's API.

    :param arguments: the command line; ``sys.argv`` unless given.
    :returns: the exit code: 0 all assumptions hold, 1 some do not (or could not be seen), 2 there was no export to
        look at.
    """
    options = _parser().parse_args(arguments)
    read_connections_outside_tasks()
    print(f"Starting one export of {options.context}, to see how it goes …", file=sys.stderr)
    try:
        session = cast("OleriaSession", OleriaHook(options.conn_id).get_conn())
        calls = Calls(session.settings)
        evidence = gather(calls, options.context, options.filter, options.timeout)
    except (OleriaError, AirflowException) as problem:
        print(f"The check could not be carried out: {problem}", file=sys.stderr)
        return 2
    asked = [item for item in ASSUMPTIONS if options.wrong_secret or not item.alarming]
    rows = [looked_at(item, evidence) for item in asked]
    print(f"airflow-provider-oleria {__version__}, data context {options.context}\n")
    print("\n".join(rendered(rows)))
    return 0 if all(row.held for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_oleria.check",
        description="Does the API of your tenant behave as this package assumes? Starts one export, fetches the "
        "beginning of its file, and prints a table. Saves nothing.",
        epilog="Exit code: 0 all assumptions hold, 1 some do not, 2 the check could not be carried out.",
    )
    add = parser.add_argument
    add(
        "conn_id",
        nargs="?",
        default=OleriaHook.default_conn_name,
        help="the Connection; %(default)s unless given",
    )
    add(
        "--context",
        default=str(DataContext.OLERIA_USERS),
        help="the data context to export; %(default)s unless given, which is small in any tenant",
    )
    add(
        "--filter",
        action="append",
        default=[],
        type=_filter,
        metavar="JSON",
        help="a filter to keep the export small, as the API has it; may be given several times",
    )
    add(
        "--timeout",
        type=float,
        default=600,
        help="how long the export may take, in seconds; %(default)s unless given",
    )
    add(
        "--wrong-secret",
        action="store_true",
        help="also ask for a token with a wrong secret, once: not by default, since whoever watches over the tenant "
        "may take it for an attack",
    )
    return parser


def _filter(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a filter is a JSON object, not {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
