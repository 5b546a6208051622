"""What all example DAGs have in common."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from airflow.models import DagBag

from tests.airflow_names import DAG

from .conftest import EXAMPLES

# Files that have a DAG only where another provider is installed.
RECIPES = {
    "oleria_to_bigquery": "airflow.providers.google",
    "oleria_to_snowflake": "airflow.providers.snowflake",
}


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    bag = DagBag(EXAMPLES)
    assert not bag.import_errors
    return bag.dags


def test_every_file_has_its_dag_and_a_recipe_only_where_its_provider_is(dags: dict[str, DAG]) -> None:
    files = {file.stem for file in EXAMPLES.glob("*.py")} - {"oleria_asset_triggered"}
    without = {name for name, package in RECIPES.items() if not _installed(package)}
    assert dags.keys() == files - without | {"oleria_asset_producer", "oleria_asset_consumer"}


def test_every_dag_lists_what_it_needs_and_retries(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        assert "Needs the Connection" in (dag.doc_md or "")
        assert "oleria" in dag.tags
        assert dag.catchup is False
        assert dag.default_args["retries"] >= 2
