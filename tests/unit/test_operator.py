"""What is refused when a DAG is parsed, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oleria.filters import Filter
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"poll_interval": 0}, "poll_interval must be a number of seconds greater than 0, not 0"),
        ({"max_poll_interval": -1}, "max_poll_interval must be a number of seconds greater than 0, not -1"),
        (
            {"max_poll_interval": float("inf")},
            "max_poll_interval must be a number of seconds greater than 0, not inf",
        ),
        ({"timeout": float("inf")}, "timeout must be a number of seconds greater than 0, not inf"),
        ({"timeout": "3600"}, "timeout must be a number of seconds greater than 0, not '3600'"),
        ({"max_concurrency": 0}, "max_concurrency must be at least 1, not 0"),
        ({"exact_columns": "a,b"}, "exact_columns must be a list of column names"),
        (
            {"destination": "file:///x.csv", "wait_for_completion": False},
            "destination needs wait_for_completion",
        ),
        ({"destination": "file:///x.csv", "column_types": {"a": "int64"}}, "column_types has no effect"),
        ({"filter_by": [Filter.number("age").eq("old")]}, "'old' is not a number"),
    ],
)
def test_what_cannot_work_is_refused_when_the_dag_is_parsed(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        OleriaDownloadOperator(task_id="export", data_context="identities", **wrong)


def test_a_destination_that_is_all_template_is_checked_when_the_task_runs() -> None:
    OleriaDownloadOperator(
        task_id="export",
        data_context="identities",
        destination="{{ params.destination }}",
        column_types={"a": "int64"},
    )
