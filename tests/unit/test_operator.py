"""Arguments: what is refused when the DAG is parsed, what when the task runs; nothing is started in either case."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import sys
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.compat import AirflowFailException, BaseOperator, ObjectStoragePath
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator, OleriaSaveDownloadOperator
from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.sensors.oleria import OleriaDownloadSensor
from tests.airflow_names import DAG, TaskGroup

CSV = "file:///data/x.csv"


def operator(**arguments: Any) -> OleriaDownloadOperator:
    return OleriaDownloadOperator(**{"task_id": "export", "data_context": "identities", **arguments})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"poll_interval": 0}, "poll_interval must be a number of seconds greater than 0, not 0"),
        ({"max_poll_interval": -1}, "max_poll_interval must be a number of seconds greater than 0, not -1"),
        ({"max_poll_interval": math.inf}, "max_poll_interval must be a number of seconds .*, not inf"),
        ({"timeout": math.inf}, "timeout must be a number of seconds greater than 0, not inf"),
        ({"timeout": "3600"}, "timeout must be a number of seconds greater than 0, not '3600'"),
        ({"timeout": True}, "timeout must be a number of seconds greater than 0, not True"),
        ({"timeout": sys.maxsize}, "timeout must be at most ten years"),
        ({"deferrable": "False"}, "deferrable must be True or False, not 'False'"),
        ({"durable": "no"}, "durable must be True or False, not 'no'"),
        ({"wait_for_completion": None}, "wait_for_completion must be True or False, not None"),
        ({"compression": "ZSTD"}, "compression must be one of zstd, .*, not 'ZSTD'"),
        ({"compression": None}, "compression must be one of zstd, .*, not None"),
        ({"resume_window": timedelta(0)}, "resume_window must be a number of seconds greater than 0"),
        ({"max_concurrency": 0}, "max_concurrency must be at least 1, not 0"),
        ({"part_size": 1.5}, "part_size must be a whole number, not 1.5"),
        ({"row_group_size": True}, "row_group_size must be a whole number, not True"),
        ({"min_rows": "many"}, "min_rows must be a whole number, not 'many'"),
        ({"min_rows": -1}, "min_rows must be at least 0, not -1"),
        ({"min_rows": True}, "min_rows must be a whole number, not True"),
        ({"required_columns": ["a", "b", "a"]}, "required_columns names a column twice: a$"),
        ({"required_columns": [1]}, "required_columns must hold names of columns, not 1"),
        ({"exact_columns": "a,b"}, "exact_columns must be a list of column names"),
        ({"exact_columns": {"a", "b"}}, "exact_columns must be a list of column names, not a set"),
        ({"destination": CSV, "wait_for_completion": False}, "destination needs wait_for_completion"),
        ({"destination": CSV, "column_types": {"a": "int64"}}, "column_types has no effect"),
        ({"destination": "data/x.csv"}, "destination 'data/x.csv' is relative"),
        ({"destination": ""}, "destination must be the path of a file, not ''"),
        ({"filter_by": [Filter.number("age").eq("old")]}, "'old' is not a number"),
        ({"filter_by": [Filter.number("age").eq(math.nan)]}, "filter_by.*nan is not a number"),
        ({"data_context": None}, "data_context must be text, not None"),
        ({"oleria_conn_id": ""}, "oleria_conn_id must be text, not ''"),
    ],
)
def test_what_cannot_work_is_refused_when_the_dag_is_parsed(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        operator(**wrong)


@pytest.mark.parametrize("destination", [None, "", "x.csv", "file://x.csv"])
def test_a_save_needs_an_absolute_destination(destination: Any) -> None:
    with pytest.raises(ValueError, match="destination"):
        OleriaSaveDownloadOperator(task_id="save", download_id="id-1", destination=destination)


@pytest.mark.parametrize("download_id", [None, "", 7])
def test_a_download_id_is_text(download_id: Any) -> None:
    with pytest.raises(ValueError, match="download_id must be text"):
        OleriaSaveDownloadOperator(task_id="save", download_id=download_id, destination=CSV)
    with pytest.raises(ValueError, match="download_id must be text"):
        OleriaDownloadSensor(task_id="wait", download_id=download_id)


def test_a_sensor_is_deferrable_or_not() -> None:
    with pytest.raises(ValueError, match="deferrable must be True or False, not 'True'"):
        OleriaDownloadSensor(task_id="wait", download_id="id-1", deferrable="True")


def test_a_timedelta_is_taken_wherever_seconds_are() -> None:
    names = ("poll_interval", "max_poll_interval", "timeout", "resume_window")
    task = operator(**dict.fromkeys(names, timedelta(days=1)))

    assert [getattr(task, name) for name in names] == [86400] * 4


@pytest.mark.parametrize(
    "destination",
    [
        "{{ params.destination }}",
        "file:///data/x.{{ params.suffix }}",
        "file:///data/x{% if params.typed %}.parquet{% else %}.csv{% endif %}",
        "file:///data/x.csv{{ params.suffix }}",
        "file:///data/{{ ds }}.parquet",
    ],
)
def test_a_suffix_from_a_template_does_not_break_parsing(destination: str) -> None:
    operator(destination=destination, column_types={"a": "int64"})


@pytest.mark.parametrize("kind", [OleriaDownloadOperator, OleriaSaveDownloadOperator, OleriaDownloadSensor])
def test_the_signature_lists_every_argument(kind: type[BaseOperator]) -> None:
    parameters = inspect.signature(kind).parameters
    own = set(kind.template_fields) | {"oleria_conn_id"}
    if kind is not OleriaDownloadSensor:
        own |= {field.name for field in fields(SaveOptions)} | {"destination", "multiple_outputs"}

    assert own <= parameters.keys()
    assert all(parameter.annotation is not parameter.empty for parameter in parameters.values())
    documented = inspect.getdoc(kind) or ""
    assert [name for name in parameters if f":param {name}:" not in documented] == ["kwargs"]
    with pytest.raises(TypeError, match="min_row"):
        kind.partial(task_id="x", min_row=1)


@pytest.mark.parametrize(
    ("destination", "kept"),
    [
        (ObjectStoragePath("file:///data/x.csv", conn_id="disk"), "file://disk@/data/x.csv"),
        (ObjectStoragePath("/data/x.csv"), "/data/x.csv"),
        ("s3://aws_default@lake/x.csv", "s3://aws_default@lake/x.csv"),
    ],
    ids=str,
)
def test_a_destination_keeps_its_connection_in_every_copy(destination: Any, kept: str) -> None:
    with DAG(
        "copies",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        default_args={"destination": destination},
    ) as dag:
        operator(task_id="by_default")
        operator(destination=destination)
        # Text alone: Airflow 3.3.2 copies these arguments, and a copy of a path object has lost its Connection.
        with TaskGroup("group", default_args={"destination": kept}):
            operator(task_id="in_group")
            OleriaSaveDownloadOperator(task_id="save", download_id="id-1")

    names = list(dag.task_dict)
    part = dag.partial_subset(names) if hasattr(dag, "partial_subset") else dag
    for name in names:
        task = dag.task_dict[name]
        copies = [task, copy.deepcopy(task), pickle.loads(pickle.dumps(task)), part.task_dict[name]]  # noqa: S301  # our own
        assert [copied.destination for copied in copies] == [kept] * 4


def render(task: BaseOperator, folder: Path, **params: Any) -> Any:
    with DAG(
        "render", schedule=None, start_date=datetime(2026, 1, 1), template_searchpath=str(folder)
    ) as dag:
        dag.add_task(task)
    task.resolve_template_files()
    task.render_template_fields({"params": params})
    return task


def test_templates_are_rendered_to_what_is_meant(tmp_path: Path) -> None:
    task = render(
        operator(
            destination="file:///data/x.{{ params.suffix }}",
            min_rows="{{ params.rows }}",
            required_columns="{{ params.columns }}",
            exact_columns=["{{ params.columns[0] }}", "b"],
            column_types="{{ params.types }}",
            filter_by="{{ params.filters }}",
        ),
        tmp_path,
        suffix="parquet",
        rows=100,
        columns=["a", "b"],
        types={"a": "int64"},
        filters=[Filter.number("age").gt(1)],
    )
    options = task._check_rendered()

    assert (options.min_rows, options.required_columns, options.exact_columns) == (
        100,
        ("a", "b"),
        ("a", "b"),
    )
    assert options.column_types == {"a": "int64"}
    assert task.destination == "file:///data/x.parquet"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("min_rows", "many"),
        ("required_columns", "a,b"),
        ("exact_columns", "{'a'}"),
        ("column_types", "int64"),
        ("destination", "data/x.csv"),
        ("filter_by", "department = 'Sales'"),
        ("sort_by", "['createdAt']"),
        ("data_context", ""),
    ],
)
def test_what_a_template_spoils_is_named_before_anything_is_started(
    oleria_sandbox: Sandbox, tmp_path: Path, argument: str, value: str
) -> None:
    arguments = {"destination": f"file://{tmp_path}/x.csv", argument: "{{ params.value }}"}
    task = render(operator(**arguments), tmp_path, value=value)
    with pytest.raises(AirflowFailException, match=argument):
        task.execute({})

    assert not oleria_sandbox.calls
    assert not list(tmp_path.iterdir())


def test_filters_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "filters.json").write_text(
        '[{"dataType": "number", "field": "age", "filterType": "gt", "values": ["{{ params.age }}"]}]'
    )
    task = render(operator(filter_by="filters.json", sort_by=[Sort.asc("age")]), tmp_path, age=30)
    task._check_rendered()

    from airflow_provider_oleria.api.protocol import build_download_body

    body = build_download_body(task.data_context, task.filter_by, task.sort_by)
    assert body["params"]["filterBy"] == [Filter.number("age").gt(30)]


def test_a_value_that_looks_like_a_file_is_a_value(tmp_path: Path) -> None:
    """Airflow takes any text that ends in .json, also inside a list, for the path of a template (2.11.2, 3.3.2)."""
    filters = [Filter.string("resource").in_("package.json", "{{ params.name }}")]
    task = render(
        operator(filter_by=filters, required_columns=["x.json"], exact_columns=("a", "y.json")),
        tmp_path,
        name="other.json",
    )
    options = task._check_rendered()

    assert task.filter_by[0]["values"] == ["package.json", "other.json"]
    assert (options.required_columns, options.exact_columns) == (("x.json",), ("a", "y.json"))
