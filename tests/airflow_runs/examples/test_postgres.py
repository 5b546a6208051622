"""The table in PostgreSQL: a real server, and a reader during the load."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from airflow_provider_oleria.sandbox import Fault, Sandbox
from example_dags.oleria_to_postgres import COLUMNS
from tests.airflow_runs.conftest import RunDag
from tests.servers.postgres import Postgres

from .conftest import load

pytestmark = pytest.mark.usefixtures("lake")

COUNT = "select count(*) from application_accounts"


@pytest.fixture
def database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own for each test, behind the Connection ``postgres_default``."""
    name = f"bi_{uuid.uuid4().hex[:8]}"
    postgres.create(name)
    connection = {"conn_type": "postgres", "host": "127.0.0.1", "port": postgres.port, "login": "airflow"}
    monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", json.dumps({**connection, "schema": name}))
    return name


def test_the_table_holds_typed_rows(
    run_dag: RunDag, oleria_sandbox: Sandbox, postgres: Postgres, database: str
) -> None:
    run = run_dag(load("oleria_to_postgres"))

    assert run.states == {"export": "success", "load": "success"}
    assert run.xcom("load") == oleria_sandbox.settings.rows
    types = "select distinct pg_typeof(created_at), pg_typeof(dormant_days), pg_typeof(mfa_enabled)"
    assert postgres.rows(database, f"{types} from application_accounts") == [
        ("timestamp with time zone", "integer", "boolean")
    ]
    odd = 'O\'Neill, "Bo"\n(née Ødegård), Jr.'
    named = "select created_at from application_accounts where account_name = %s"
    (created,), *_ = postgres.rows(database, named, odd)
    assert isinstance(created, datetime)
    unused = "select count(*) from application_accounts where last_used_at is null"
    assert postgres.rows(database, unused)[0][0] > 0


def test_readers_see_the_old_rows_or_the_new_ones(
    run_dag: RunDag, oleria_sandbox: Sandbox, postgres: Postgres, database: str
) -> None:
    dag = load("oleria_to_postgres")
    oleria_sandbox.settings.rows = 300
    run_dag(dag)
    postgres.rows(
        database, "create view dormant as select * from application_accounts where dormant_days > 90"
    )
    oleria_sandbox.settings.rows = 500
    with reading(postgres, database) as seen:
        run_dag(dag)
        run_dag(dag)  # as a retry would

    assert set(seen) <= {300, 500}
    assert seen[0] == 300
    assert postgres.rows(database, COUNT) == [(500,)]
    assert postgres.rows(database, "select count(*) from dormant") > [(0,)]


def test_dormant_days_may_be_a_threshold(
    run_dag: RunDag, oleria_sandbox: Sandbox, postgres: Postgres, database: str
) -> None:
    dag = load("oleria_to_postgres")
    rows = [{"accountId": str(number), "dormantDays": days} for number, days in enumerate(["12", "30+", ""])]
    lines = [",".join(row.get(column, "") for column in COLUMNS) for row in rows]
    oleria_sandbox.fail(Fault(kind="fetch", times=None, body="\n".join([",".join(COLUMNS), *lines])))
    run = run_dag(dag)

    assert run.states == {"export": "success", "load": "success"}
    days = "select dormant_days, dormant_days_text from application_accounts order by account_id"
    assert postgres.rows(database, days) == [(12, "12"), (30, "30+"), (None, None)]


def test_what_does_not_fit_leaves_the_rows_there_are(
    run_dag: RunDag, oleria_sandbox: Sandbox, postgres: Postgres, database: str
) -> None:
    dag = load("oleria_to_postgres")
    run_dag(dag)
    alter = "alter table application_accounts alter account_type type boolean using true"
    postgres.rows(database, alter)
    run = run_dag(dag)

    assert run.states == {"export": "success", "load": "failed"}
    assert postgres.rows(database, COUNT) == [(oleria_sandbox.settings.rows,)]


@contextmanager
def reading(postgres: Postgres, database: str) -> Iterator[list[int]]:
    """Count the rows again and again; every count is in the list."""
    seen, over = [postgres.rows(database, COUNT)[0][0]], threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(postgres.rows(database, COUNT)[0][0])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        over.set()
        reader.join()
