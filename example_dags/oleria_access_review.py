"""Every morning: who has gained, lost or changed access since the last snapshot, as an HTML page.

The accounts of the day are saved as a snapshot and compared with the newest earlier one, so a missed day leaves no gap.
``access-review/reports/<day>.html`` is self-contained (no script, nothing loaded from elsewhere); ``<day>.csv`` beside
it has every row.

On the first day there is nothing to compare with, and ``report`` is skipped. An export with fewer rows than
``MIN_ROWS`` fails ``snapshot`` and is not kept: a broken export must not look as if everyone had lost their access.

Needs the Connection ``oleria_default``, the Variable ``oleria_export_root`` (such as ``s3://aws_default@lake/oleria``),
``access_review.html.jinja`` beside this file, and ``pip install duckdb 'airflow-provider-oleria[parquet,s3]'``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

try:
    from airflow.sdk import ObjectStoragePath, dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task
    from airflow.io.path import ObjectStoragePath

FILE = "accounts.parquet"

# The day of the run in the DAG's time zone, whatever started the run (docs/recipes.md, "Dates").
DAY = (
    "{{ (partition_date | default or dag_run.run_type in ('scheduled', 'backfill') and dag_run.data_interval_end"
    " or dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone) | ds }}"
)

# Set it a little below the number of accounts you expect.
MIN_ROWS = 100

# Columns and roles are the sandbox's: take yours from the header of an export of your tenant. Each row must be one
# account in one application. To compare more than the role, add columns to the last condition.
COLUMNS = [
    *("accountId", "accountName", "email", "department"),
    *("application", "applicationInstance", "applicationRole"),
]
COMPARE = """
    select
        case when y.accountId is null then 'gained' when t.accountId is null then 'lost' else 'changed' end as change,
        coalesce(t.accountName, y.accountName) as account,
        coalesce(t.email, y.email) as email,
        coalesce(t.department, y.department) as department,
        coalesce(t.application, y.application) as application,
        coalesce(t.applicationInstance, y.applicationInstance) as instance,
        y.applicationRole as role_before,
        t.applicationRole as role_now,
        coalesce(t.applicationRole in ('Administrator', 'Owner'), false) as privileged
    from today t full join earlier y on t.accountId = y.accountId
    where t.accountId is null or y.accountId is null or t.applicationRole is distinct from y.applicationRole
    order by application, account, email
"""


@dag(
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria", "access review"],
)
def oleria_access_review() -> None:
    root = "{{ var.value.oleria_export_root }}/access-review"
    snapshot = OleriaDownloadOperator(
        task_id="snapshot",
        data_context=DataContext.ACCESS_INVENTORY_APPLICATION_ACCOUNTS,
        destination=f"{root}/snapshots/ds={DAY}/{FILE}",
        min_rows=MIN_ROWS,
        required_columns=COLUMNS,
        deferrable=True,
    )

    @task
    def report(accounts: int, root: str, day: str) -> dict[str, Any]:
        """Write the reports; return how many accounts gained, lost and changed access, and the path of the page."""
        import pyarrow.csv

        snapshots, reports = ObjectStoragePath(root, "snapshots"), ObjectStoragePath(root, "reports")
        folders = (file.parent.name for file in snapshots.glob(f"ds=*/{FILE}"))
        earlier = max((folder for folder in folders if folder < f"ds={day}"), default=None)
        if earlier is None:
            from airflow.exceptions import AirflowSkipException

            raise AirflowSkipException(f"{day} is the first snapshot: there is nothing to compare with yet")
        changes = compare(snapshots / f"ds={day}" / FILE, snapshots / earlier / FILE)
        reports.mkdir(parents=True, exist_ok=True)
        with (reports / f"{day}.csv").open("wb") as file:
            pyarrow.csv.write_csv(changes, file)
        rows = changes.to_pylist()
        page = reports / f"{day}.html"
        page.write_text(as_page(rows, accounts, day, earlier.removeprefix("ds=")), encoding="utf-8")
        return {"page": str(page), **Counter(row["change"] for row in rows)}

    report(snapshot.output["row_count"], root, DAY)


def compare(today: ObjectStoragePath, earlier: ObjectStoragePath) -> Any:
    """Return who has gained, lost or changed access, as a table."""
    import duckdb
    import pyarrow.parquet

    with duckdb.connect() as database:
        for name, path in (("today", today), ("earlier", earlier)):
            with path.open("rb") as file:
                database.register(name, pyarrow.parquet.read_table(file))
        return database.sql(COMPARE).to_arrow_table()


def as_page(changes: list[dict[str, Any]], accounts: int, day: str, earlier: str) -> str:
    """Render the page; values of the export are escaped."""
    from jinja2 import Environment, FileSystemLoader

    applications: dict[str, Counter[str]] = defaultdict(Counter)
    for row in changes:
        applications[row["application"]][row["change"]] += 1
    jinja = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    return jinja.get_template("access_review.html.jinja").render(
        changes=changes,
        accounts=accounts,
        applications=sorted(applications.items(), key=lambda item: -item[1].total()),
        widest=max(
            (max(counts["lost"], counts["gained"] + counts["changed"]) for counts in applications.values()),
            default=1,
        ),
        day=date.fromisoformat(day),
        earlier=date.fromisoformat(earlier),
    )


oleria_access_review()
