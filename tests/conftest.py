"""A private Airflow for the tests, and a sandbox that plays Oleria."""

from __future__ import annotations

import atexit
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest
from asgiref.sync import SyncToAsync

from airflow_provider_oleria.sandbox import Sandbox

# Before anything imports Airflow, which reads its configuration once.
HOME = Path(tempfile.mkdtemp(prefix="airflow-provider-oleria-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
    # The level at which libraries print requests whole: where a secret would show.
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
}

# Its scenarios are run by name (make test-system), with what the dependency group "system" installs.
collect_ignore = [] if find_spec("celery") else ["system"]

pytest_plugins = [
    "tests.fuzzing",
    "airflow_provider_oleria.sandbox.pytest_plugin",
    "tests.servers.proxy",
    "tests.servers.s3",
    "tests.servers.azurite",
    "tests.servers.gcs",
    "tests.servers.sftp",
    "tests.servers.smb",
    "tests.servers.postgres",
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Forget what a test that passed has logged: pytest would keep it, gigabytes in all, until the end."""
    report = yield
    if report.passed:
        report.sections.clear()
    return report


@pytest.fixture(autouse=True)
def _nothing_from_another_test() -> None:
    from airflow_provider_oleria.api import rate_limit
    from airflow_provider_oleria.api.tokens import TOKENS
    from airflow_provider_oleria.net import redaction

    TOKENS.clear()
    rate_limit._gates.clear()
    redaction._CREDENTIALS._values.clear()
    redaction._URLS._values.clear()
    _mask_nothing()
    # A trigger that is given up may still read its Connection, in asgiref's thread. If dag.test() ends meanwhile, the
    # thread puts dag.test()'s stand-in for the supervisor back (Airflow 3.3.2): the next test would read its Connection
    # from there, and the stand-in prints what it is to mask.
    SyncToAsync.single_thread_executor.submit(int).result()
    if task_runner := sys.modules.get("airflow.sdk.execution_time.task_runner"):
        vars(task_runner).pop("SUPERVISOR_COMMS", None)


def _mask_nothing() -> None:
    """Each new secret makes Airflow compile all of them again: the last of thousands of tests took minutes."""
    for name, module in tuple(sys.modules.items()):
        if name.endswith("secrets_masker") and (masker := getattr(module, "_secrets_masker", None)):
            masker().patterns.clear()
            masker().replacer = None
    if hook := sys.modules.get("airflow_provider_oleria.hooks.oleria"):
        hook._MASKED = count()


@pytest.fixture
def no_waiting(oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports are complete at once, and nothing spreads load over seconds: DAGs keep their own intervals."""
    oleria_sandbox.settings.export_seconds = 0
    monkeypatch.setattr(random, "random", lambda: 0.0)


@pytest.fixture(scope="session")
def airflow_db() -> Path:
    """Airflow's metadata database (SQLite), migrated."""
    airflow = Path(sys.executable).with_name("airflow")
    subprocess.run([airflow, "db", "migrate"], check=True, capture_output=True)
    return HOME / "airflow.db"


def pytest_unconfigure() -> None:
    # Airflow logs its exit at DEBUG when pytest has closed its streams; logging would print a traceback for that.
    logging.raiseExceptions = False
