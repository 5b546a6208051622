"""Every night: who has an account in which application, as a typed table in PostgreSQL for BI.

The export is copied into a staging table. One transaction then replaces the rows of the table that people read: they
see either last night's rows or this night's. A retry starts again with an empty staging table.

Needs the Connections ``oleria_default`` and ``postgres_default``, the Variable ``oleria_export_root`` (such as
``s3://aws_default@lake/oleria``: the tasks may run on different machines), and
``pip install apache-airflow-providers-postgres 'airflow-provider-oleria[s3]'``.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from tempfile import NamedTemporaryFile

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

try:
    from airflow.sdk import ObjectStoragePath, dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task
    from airflow.io.path import ObjectStoragePath

TABLE = "application_accounts"
STAGING = f"{TABLE}_staging"

# The columns of the export, in order, and of the table. These are the sandbox's: take yours from the header of an
# export of your tenant.
COLUMNS = {
    "accountId": "account_id text primary key",
    "accountName": "account_name text",
    "email": "email text",
    "accountType": "account_type text",
    "department": "department text",
    "application": "application text",
    "applicationInstance": "application_instance text",
    "applicationRole": "application_role text",
    "createdAt": "created_at timestamptz",
    "lastUsedAt": "last_used_at timestamptz",
    "dormantDays": "dormant_days_text text",  # "12", or "30+" where Oleria does not know the last activity
    "mfaEnabled": "mfa_enabled boolean",
}
NAMES = ", ".join(column.split()[0] for column in COLUMNS.values())

# PostgreSQL computes the number from the text: 30 for "30+".
DORMANT_DAYS = (
    "dormant_days integer generated always as (substring(dormant_days_text, '[0-9]+')::integer) stored"
)


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # there is one staging table
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria", "postgres"],
)
def oleria_to_postgres() -> None:
    export = OleriaDownloadOperator(
        task_id="export",
        data_context=DataContext.ACCESS_INVENTORY_APPLICATION_ACCOUNTS,
        destination="{{ var.value.oleria_export_root }}/bi/application_accounts.csv",
        # COPY reads columns by position: another order or number of columns must fail here.
        exact_columns=list(COLUMNS),
        min_rows=1,
        deferrable=True,
    )

    @task
    def load(path: str) -> int:
        """Replace the rows of the table; return their number."""
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        postgres = PostgresHook("postgres_default")
        postgres.run(
            [
                f"create table if not exists {TABLE} ({', '.join(COLUMNS.values())}, {DORMANT_DAYS})",
                f"drop table if exists {STAGING}",
                f"create table {STAGING} (like {TABLE} including all)",
            ]
        )
        with NamedTemporaryFile(suffix=".csv") as local:
            with ObjectStoragePath(path).open("rb") as remote:
                shutil.copyfileobj(remote, local)
            local.flush()
            postgres.copy_expert(f"copy {STAGING} from stdin with (format csv, header)", local.name)
        # One transaction. Replacing rows, instead of renaming tables, keeps grants and views and waits for no reader.
        postgres.run(
            [
                f"delete from {TABLE}",
                f"insert into {TABLE} ({NAMES}) select {NAMES} from {STAGING}",
                f"drop table {STAGING}",
            ]
        )
        return postgres.get_first(f"select count(*) from {TABLE}")[0]

    load(export.output["path"])


oleria_to_postgres()
