"""``python -m airflow_provider_oleria.check [conn id]``: starts one small download and prints a table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from airflow_provider_oleria import __version__
from airflow_provider_oleria.check.assumptions import ASSUMPTIONS, Assumption, NotSeenError
from airflow_provider_oleria.check.calls import Calls
from airflow_provider_oleria.check.evidence import Evidence, gather
from airflow_provider_oleria.compat import AirflowException, read_connections_outside_tasks
from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.hooks.oleria import OleriaHook

_WORDS = {True: "yes", False: "NO", None: "?"}


class Row(NamedTuple):
    """An assumption, whether it holds (``None``: could not be seen), and what was seen."""

    assumption: Assumption
    held: bool | None
    seen: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a tenant's API.

    :param arguments: the command line; default: ``sys.argv``.
    :return: the exit code: 0 all assumptions hold, 1 some do not or could not be seen, 2 the check failed.
    """
    options = _parser().parse_args(arguments)
    read_connections_outside_tasks()
    print(f"Starting one download of {options.context} …", file=sys.stderr)
    try:
        calls = Calls(OleriaHook(options.conn_id)._settings)
        evidence = gather(calls, options.context, options.filter, options.timeout)
    except (OleriaError, AirflowException) as problem:
        print(f"The check could not be carried out: {problem}", file=sys.stderr)
        return 2
    rows = [_examine(item, evidence) for item in ASSUMPTIONS if options.wrong_secret or not item.alarming]
    print(f"airflow-provider-oleria {__version__}, data context {options.context}\n")
    print("\n".join(_table(rows)))
    return 0 if all(row.held for row in rows) else 1


def _examine(assumption: Assumption, evidence: Evidence) -> Row:
    try:
        return Row(assumption, *assumption.examine(evidence))
    except (NotSeenError, OleriaError) as problem:
        return Row(assumption, None, f"not seen: {problem}")


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """Write the rows as a Markdown table that is readable as plain text, and the effects of what does not hold."""
    cells = [("holds", "assumption", "seen")]
    cells += [(_WORDS[row.held], row.assumption.claim, row.seen) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ("-" * widths[0], "-" * widths[1], "-" * widths[2]))
    for line in cells:
        yield "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
    if failed := [row.assumption for row in rows if row.held is False]:
        yield "\nEffects:\n"
    for assumption in failed:
        yield f"* Not true: {assumption.claim}. Effect: {assumption.effect}."
    yield f"\n{sum(row.held is True for row in rows)} of {len(rows)} assumptions hold. The table has the store's host,"
    yield "but no secret, token, query of a URL or row of data: it can be attached to a bug report."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_oleria.check",
        description="Does the API of your tenant behave as this package assumes? Starts one download, fetches the "
        "beginning of its file, and prints a table. Saves nothing.",
        epilog="Exit code: 0 all assumptions hold, 1 some do not or could not be seen, 2 the check failed.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("conn_id", nargs="?", default=OleriaHook.default_conn_name, help="the Connection")
    add("--context", default=str(DataContext.OLERIA_USERS), help="the data context; small in any tenant")
    about = "a filter in the API's form, to keep the download small; may be repeated"
    add("--filter", action="append", default=[], type=_filter, metavar="JSON", help=about)
    add("--timeout", type=float, default=600, help="how long the download may take, in seconds")
    about = "also request a token with a wrong secret, once; the tenant's monitoring may report that"
    add("--wrong-secret", action="store_true", help=about)
    return parser


def _filter(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a filter is a JSON object, not {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
