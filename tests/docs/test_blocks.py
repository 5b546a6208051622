"""Every Python block of README.md and docs/ runs, against the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.models import DagBag

from tests.airflow_runs.conftest import RunDag, new_dag

from .blocks import Block, blocks

BLOCKS = list(blocks())

KNOWN = """
import time
from datetime import datetime, timedelta

from airflow_provider_oleria.compat import ObjectStoragePath
from tests.airflow_names import DAG, dag, task

from airflow_provider_oleria.downloads import DataContext, SaveOptions
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator, OleriaSaveDownloadOperator
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.sensors.oleria import OleriaDownloadSensor
"""
"""What a part of a DAG leaves out: its reader knows where these come from."""

STORES = {"gs://google_cloud_default@": "s3://aws_default@"}
"""Stores that are not here → stores that are."""


def parametrized(kind: Callable[[Block], bool]) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if kind(block)]
    return pytest.mark.parametrize("block", [pytest.param(block, id=str(block)) for block in chosen])


@pytest.fixture
def here(tmp_path: Path) -> Callable[[Block], str]:
    """The code of a block; where it names the root of a disk or a store that is not here, it gets one that is."""

    def code(block: Block) -> str:
        if block.reason:
            pytest.skip(block.reason)
        text = block.code.replace("file:///", f"file://{tmp_path}/")
        for elsewhere, at_hand in STORES.items():
            text = text.replace(elsewhere, at_hand)
        return text

    return code


@pytest.mark.usefixtures("lake", "no_waiting")
@parametrized(lambda block: block.is_dag_file)
def test_a_dag_file_runs(block: Block, here: Callable[[Block], str], run_dag: RunDag, tmp_path: Path) -> None:
    file = tmp_path / "documented_dag.py"
    file.write_text(here(block))
    bag = DagBag(file)

    assert not bag.import_errors
    for found in bag.dags.values():
        assert set(run_dag(found).states.values()) == {"success"}


@pytest.mark.usefixtures("lake", "no_waiting")
@parametrized(lambda block: not block.is_dag_file and not block.is_test)
def test_a_part_of_a_dag_runs(
    block: Block, here: Callable[[Block], str], run_dag: RunDag, tmp_path: Path
) -> None:
    known: dict[str, Any] = {}
    exec(KNOWN, known)  # noqa: S102  # what this test is for
    names = {**known, "__name__": "documented"}
    # A name of its own: Airflow 3.1 keeps the DAG it knows by a name for the whole process.
    with new_dag(f"documented_{block.page.stem}_{block.line}") as around:
        exec(compile(here(block), str(block), "exec"), names)  # noqa: S102  # likewise
        for name in names.keys() - known.keys():
            # A block that only defines a @task leaves it to its reader to call it.
            if hasattr(names[name], "function") and name not in around.task_ids:
                names[name]()

    if around.tasks:
        assert set(run_dag(around).states.values()) == {"success"}


@pytest.mark.usefixtures("airflow_db", "lake")
def test_the_tests_pass(here: Callable[[Block], str], tmp_path: Path) -> None:
    """In a pytest of their own, which finds the README's first DAG in the DAGs folder."""
    tests = [block for block in BLOCKS if block.is_test]
    files = {"dags/oleria_identities.py": next(block for block in BLOCKS if block.is_dag_file).code}
    files |= {f"test_{block.page.stem}_{block.line}.py": here(block) for block in tests}
    for name, code in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "airflow_provider_oleria.sandbox.pytest_plugin",
            tmp_path,
        ],
        env={**os.environ, "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags")},
        cwd=tmp_path,  # nothing from this repository
        capture_output=True,
        text=True,
    )

    assert f"{len(tests)} passed" in answer.stdout, answer.stdout[-3000:]
