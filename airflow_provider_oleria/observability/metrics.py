"""All metrics and spans of this package. ``docs/observability.md`` lists their names.

Metrics go to Airflow's ``Stats``, spans to the OpenTelemetry API, which does nothing unless it is configured: Airflow
3.2 and newer does so with ``[traces] otel_on``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_oleria.observability.best_effort import best_effort

if TYPE_CHECKING:
    from opentelemetry.trace import Span

CREATE: Final = "oleria.create"
WAIT: Final = "oleria.wait"
SAVE: Final = "oleria.save"
"""The steps of a download. Each has ``.succeeded`` and ``.failed`` (counters), ``.duration`` (timer), and a span."""

RESUMED: Final = "oleria.resumed"
SAVED_BYTES: Final = "oleria.save.bytes"
SAVED_ROWS: Final = "oleria.save.rows"
TOKEN_MINTED: Final = "oleria.token.minted"  # noqa: S105  # not a password
RATE_LIMITED: Final = "oleria.api.rate_limited"


def count(name: str, by: int = 1, **tags: str) -> None:
    """Increase a counter.

    :param name: a name of this module.
    :param by: by how much.
    :param tags: for a back end that has tags; others receive the name alone.
    """
    with best_effort("Counting a metric"):
        from airflow_provider_oleria.compat import Stats

        Stats.incr(name, by, tags=tags)


@contextmanager
def step(name: str, oleria_conn_id: str, **about: str) -> Iterator[Span]:
    """Measure a step of a download, count its result, and trace it.

    The span receives the type of an error, but not its text or traceback, which are in the log.

    :param name: ``CREATE``, ``WAIT`` or ``SAVE``.
    :param oleria_conn_id: the Connection: a tag of each metric, an attribute of the span.
    :param about: further attributes of the span, in the namespace ``oleria.``.
    :return: the span, for attributes that are known later.
    """
    from opentelemetry import trace

    attributes = {"oleria.conn_id": oleria_conn_id} | {f"oleria.{key}": value for key, value in about.items()}
    started = time.monotonic()
    # start_as_current_span() would create three times as many objects, and thousands of waits are open at once.
    span = trace.get_tracer(__name__).start_span(name, attributes=attributes)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except Exception as problem:
            kind = type(problem).__name__
            span.set_status(trace.StatusCode.ERROR, kind)
            count(f"{name}.failed", oleria_conn_id=oleria_conn_id, error=kind)
            raise
    count(f"{name}.succeeded", oleria_conn_id=oleria_conn_id)
    duration = time.monotonic() - started
    with best_effort("Taking a time"):
        from airflow_provider_oleria.compat import Stats

        # As a timedelta: Airflow's versions do not agree on the unit of a number.
        Stats.timing(f"{name}.duration", timedelta(seconds=duration), tags={"oleria_conn_id": oleria_conn_id})
