"""What is accepted as an argument, and what is refused."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.arguments import (
    column_names,
    column_types,
    destination_path,
    is_unrendered,
    known_suffix,
    rendered,
    seconds,
    switch,
    whole_number,
)
from airflow_provider_oleria.compat import ObjectStoragePath


def test_a_timedelta_is_taken_for_seconds() -> None:
    assert seconds("timeout", timedelta(days=1)) == 86400
    assert seconds("timeout", 0.5) == 0.5


@pytest.mark.parametrize("wrong", [0, -1, True, None, "60", float("nan"), float("inf"), timedelta(0)])
def test_no_length_of_time(wrong: Any) -> None:
    with pytest.raises(ValueError, match="timeout must be a number of seconds greater than 0, not"):
        seconds("timeout", wrong)


@pytest.mark.parametrize("wrong", [sys.maxsize, 10**400, 1e300, timedelta.max])
def test_a_length_of_time_that_overflows_elsewhere(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"timeout must be at most ten years \(315360000 seconds\)"):
        seconds("timeout", wrong)
    assert seconds("timeout", timedelta(days=365)) == 365 * 86400


@pytest.mark.parametrize("wrong", ["False", "true", "", None, 0, 1])
def test_what_is_neither_true_nor_false(wrong: Any) -> None:
    with pytest.raises(ValueError, match="deferrable must be True or False, not"):
        switch("deferrable", wrong)


@pytest.mark.parametrize(("value", "number"), [(0, 0), (100, 100), ("100", 100), (" 7 ", 7)])
def test_a_number_may_be_text(value: Any, number: int) -> None:
    assert whole_number("min_rows", value, 0) == number


@pytest.mark.parametrize("wrong", [-1, "-1", True, "True", 1.0, "1.5", "many", "", None, [1], "9" * 5000])
def test_no_whole_number(wrong: Any) -> None:
    with pytest.raises(ValueError, match="min_rows must be"):
        whole_number("min_rows", wrong, 0)


@pytest.mark.parametrize("value", [["a", "b"], ("a", "b"), '["a", "b"]', "['a', 'b']"])
def test_names_of_columns(value: Any) -> None:
    assert column_names("exact_columns", value, ordered=True) == ("a", "b")


def test_a_set_is_refused_only_where_the_order_matters() -> None:
    assert column_names("required_columns", {"b", "a"}, ordered=False) == ("a", "b")
    with pytest.raises(ValueError, match="exact_columns must be a list of column names, not a set"):
        column_names("exact_columns", {"a", "b"}, ordered=True)


@pytest.mark.parametrize("wrong", ["a,b", "a", 7, {"a": 1}, iter("ab"), [1], [None], [""], ["a", "a"]])
def test_no_names_of_columns(wrong: Any) -> None:
    with pytest.raises(ValueError, match="exact_columns"):
        column_names("exact_columns", wrong, ordered=True)


@pytest.mark.parametrize("value", [{"a": "int64"}, '{"a": "int64"}', "{'a': 'int64'}"])
def test_types_of_columns(value: Any) -> None:
    assert column_types(value) == {"a": "int64"}


@pytest.mark.parametrize("wrong", [["a"], {"a": int}, {1: "int64"}, {"a": None}, {"a": ""}, "a: int64", 7])
def test_no_types_of_columns(wrong: Any) -> None:
    with pytest.raises(ValueError, match="column_types must be a dict"):
        column_types(wrong)


@pytest.mark.parametrize(
    "value",
    [
        "/data/x.csv",
        "file:///data/x.csv",
        "file://disk@/data/x.csv",
        "s3://aws_default@lake/x.csv",
        "s3://lake/x y/é.csv",
        "memory://lake/x.csv",
        "{{ params.destination }}",
        "{{ var.value.folder }}/x.csv",
        "{% if params.s3 %}s3://lake{% else %}/data{% endif %}/x.csv",
        "file://{{ params.folder }}/x.csv",
        "{{ params.folder }}",
    ],
)
def test_an_absolute_destination(value: str) -> None:
    assert destination_path(value) == value


@pytest.mark.parametrize("value", ["/data/x.parquet\n", " s3://lake/x.parquet", "{{ var.value.path }}\n"])
def test_white_space_around_a_destination_is_removed(value: str) -> None:
    assert destination_path(value) == value.strip()


def test_a_path_becomes_text_with_its_connection() -> None:
    assert destination_path(Path("/data/x.csv")) == "/data/x.csv"
    path = ObjectStoragePath("file:///data/x.csv", conn_id="disk")
    assert destination_path(path) == "file://disk@/data/x.csv"


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, "", "  ", 7, "/data/", "s3://lake/{{ ds }}/", b"/data/x.csv", "None"),
        *(
            "x.csv",
            "data/x.csv",
            "./x.csv",
            "~/x.csv",
            "data/{{ ds }}.csv",
            "file://data/x.csv",
            "local://x.csv",
        ),
        *("file://data/{{ ds }}.csv", "s3:/lake/x.csv", Path("x.csv"), "/data/x.json", "{{ x }}/x.json"),
    ],
)
def test_no_destination(wrong: Any) -> None:
    with pytest.raises(ValueError, match="destination"):
        destination_path(wrong)


@pytest.mark.parametrize(
    ("destination", "suffix"),
    [
        ("/data/x.csv", "/data/x.csv"),
        ("/data/{{ ds }}.csv", ".csv"),
        ("/data/x.{{ params.suffix }}", ""),
        ("/data/x{% if params.typed %}.parquet{% else %}.csv{% endif %}", ""),
        ("/data/x.csv{{ params.suffix }}", ""),
        ("/data/{{ ds }}gz", ""),
        ("/data/x.csv{# as received #}", ""),
    ],
)
def test_a_suffix_that_a_template_decides_is_unknown(destination: str, suffix: str) -> None:
    assert known_suffix(destination) == suffix


class XCom:
    def resolve(self, context: object) -> None: ...


@pytest.mark.parametrize(
    "value", ["{{ x }}", "{% if %}", XCom(), ["a", "{{ x }}"], {"a": XCom()}, {"{{ x }}": 1}]
)
def test_a_template_anywhere_in_a_value_is_found(value: Any) -> None:
    assert is_unrendered(value)


@pytest.mark.parametrize("value", ["x", 7, None, ["a"], {"a": 1}, Path("/x"), ObjectStoragePath("file:///x")])
def test_values_without_templates(value: Any) -> None:
    assert not is_unrendered(value)


def test_what_rendering_has_left() -> None:
    assert rendered("min_rows", "7") == "7"
    assert rendered("min_rows", XCom()) is None, "Airflow 2.11 does not replace an empty XCom"
    with pytest.raises(ValueError, match="min_rows is still a template"):
        rendered("min_rows", "{{ x }}")
