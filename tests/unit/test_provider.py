"""What Airflow reads about the package, and what importing it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import airflow
import jsonschema
import pytest

from airflow_provider_oleria import __version__, compat
from airflow_provider_oleria.assets.oleria import convert_asset_to_openlineage, create_asset, sanitize_uri
from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.get_provider_info import get_provider_info

PUBLIC = [
    "airflow_provider_oleria.downloads",
    "airflow_provider_oleria.hooks.oleria",
    "airflow_provider_oleria.operators.oleria",
    "airflow_provider_oleria.sensors.oleria",
]


def test_provider_info_is_valid_against_airflows_own_schema() -> None:
    info = get_provider_info()
    jsonschema.validate(info, schema("provider_info"))
    # Only the schema of a provider.yaml defines how a connection's form is described (Airflow 3.2 and newer).
    jsonschema.validate(info["connection-types"], schema("provider.yaml")["properties"]["connection-types"])


def test_airflow_finds_the_functions_for_assets() -> None:
    (entry,) = get_provider_info()["asset-uris"]
    for key in ("handler", "factory", "to_openlineage_converter"):
        module, _, name = entry[key].rpartition(".")
        assert callable(getattr(import_module(module), name))


def test_the_asset_of_a_data_context() -> None:
    for host in ("devx.mytenant.example", "https://devx.mytenant.example"):
        asset = create_asset(host=host, data_context=DataContext.RISKS, extra={"owner": "security"})
        assert (asset.uri, asset.extra) == ("oleria://devx.mytenant.example/risks", {"owner": "security"})
    dataset = convert_asset_to_openlineage(asset, None)
    assert (dataset.namespace, dataset.name) == ("oleria://devx.mytenant.example", "risks")
    with pytest.raises(
        ValueError, match="an asset of Oleria is oleria://<host of the API URL>/<data context>"
    ):
        sanitize_uri(urlsplit("oleria://devx.mytenant.example"))


def schema(name: str) -> dict[str, Any]:
    return json.loads((Path(airflow.__file__).parent / f"{name}.schema.json").read_text())


def test_airflow_lists_the_provider_and_its_hook() -> None:
    airflow_cli = Path(sys.executable).with_name("airflow")
    for command, expected in (
        (["providers", "list", "--output", "json"], ["airflow-provider-oleria", __version__]),
        (["providers", "get", "airflow-provider-oleria", "--output", "json"], [__version__]),
        (["providers", "hooks", "--output", "json"], ["airflow_provider_oleria.hooks.oleria.OleriaHook"]),
    ):
        answer = subprocess.run([airflow_cli, *command], check=True, capture_output=True, text=True).stdout
        assert all(text in answer for text in expected)


@pytest.mark.parametrize("name", compat._PLACES)
def test_this_version_of_airflow_has_every_name(name: str) -> None:
    assert getattr(compat, name)


HEAVY = [
    *("airflow.models", "airflow.triggers", "airflow.io", "airflow.utils.db", "sqlalchemy"),
    *("requests", "requests_oauthlib", "oauthlib", "urllib3", "aiohttp", "yarl", "httpx"),
    *("ssl", "asyncio", "cryptography", "certifi", "difflib"),
    *("pyarrow", "zstandard", "fsspec", "upath", "pandas", "numpy"),
    *("airflow_provider_oleria.api.protocol", "airflow_provider_oleria.transfer.pipeline"),
]


def test_a_dag_file_loads_nothing_heavy() -> None:
    """Compared with what Airflow itself has loaded for any DAG file that defines an operator."""
    code = f"""
import sys
from airflow_provider_oleria.compat import BaseHook, BaseOperator, BaseSensorOperator
before = set(sys.modules)
import {", ".join(PUBLIC)}
print("ADDED", *sorted((set(sys.modules) - before) & set({HEAVY})))
"""
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert [line.split()[1:] for line in answer.splitlines() if line.startswith("ADDED")] == [[]]


def test_a_dag_file_with_an_operator_loads_nothing_of_ours_that_only_its_run_needs() -> None:
    code = """
import sys
import airflow_provider_oleria.operators.oleria, airflow_provider_oleria.sensors.oleria
print("LOADED", *sorted(name for name in sys.modules if name.startswith("airflow_provider_oleria.")))
"""
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    loaded = next(line.split()[1:] for line in answer.splitlines() if line.startswith("LOADED"))
    assert "airflow_provider_oleria.operators.oleria" in loaded
    assert not [
        name for name in loaded if name.split(".")[1] in ("hooks", "observability", "reattach", "triggers")
    ]
