"""Every night: who has an account in which application, as a typed table in PostgreSQL for BI.

The export is copied into a staging table, and from there into the table that people read, in one transaction: they see
last night's rows until this night's are all there. A retry starts over with an empty staging table.

Needs the Connections ``oleria_default`` and ``postgres_default``, the Variable ``oleria_export_root`` (such as
``s3://aws_default@lake/oleria``: the tasks may run on different machines), and
``pip install apache-airflow-providers-postgres``.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from tempfile import NamedTemporaryFile

from airflow.providers.common.compat.sdk import ObjectStoragePath, dag, task

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

TABLE = "application_accounts"
STAGING = f"{TABLE}_staging"

# The export's columns, in order, and what becomes of them. These are the sandbox's: take yours from the header of an
# export of your own tenant.
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
    "dormantDays": "dormant_days integer",
    "mfaEnabled": "mfa_enabled boolean",
}


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
        # COPY goes by position, so a column more or less has to stop here.
        exact_columns=list(COLUMNS),
        min_rows=1,
        deferrable=True,
    )

    @task
    def load(path: str) -> int:
        """Replace the table's rows; returns how many there are now."""
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        postgres = PostgresHook("postgres_default")
        postgres.run(
            [
                f"create table if not exists {TABLE} ({', '.join(COLUMNS.values())})",
                f"drop table if exists {STAGING}",
                f"create table {STAGING} (like {TABLE} including all)",
            ]
        )
        with NamedTemporaryFile(suffix=".csv") as local:
            with ObjectStoragePath(path).open("rb") as remote:
                shutil.copyfileobj(remote, local)
            local.flush()
            postgres.copy_expert(f"copy {STAGING} from stdin with (format csv, header)", local.name)
        # One transaction. Replacing rows rather than renaming tables keeps grants and views, and waits for no reader.
        postgres.run(
            [
                f"delete from {TABLE}",
                f"insert into {TABLE} select * from {STAGING}",
                f"drop table {STAGING}",
            ]
        )
        return postgres.get_first(f"select count(*) from {TABLE}")[0]

    load(export.output["path"])


oleria_to_postgres()
