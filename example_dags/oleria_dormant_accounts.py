"""Every Monday: how many dormant accounts without MFA each department has, by the hook alone in a ``@task``.

The file is temporary: only the counts are kept. To keep the file, or for an export that takes long, use
:class:`OleriaDownloadOperator`: it can wait without a worker slot, and its retry resumes the export, while a retry of
this task starts a new one.

Needs the Connection ``oleria_default``.
"""

from __future__ import annotations

import csv
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Filter
from airflow_provider_oleria.hooks.oleria import OleriaHook

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task


@dag(
    schedule="0 7 * * 1",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria"],
)
def oleria_dormant_accounts() -> None:
    @task
    def count_by_department() -> dict[str, int]:
        hook = OleriaHook()
        # Fields are the sandbox's: take yours from the header of an export of your tenant.
        download = hook.create_download(
            DataContext.ACCOUNT_UTILIZATION,
            filter_by=[Filter.number("dormantDays").gte(90), Filter.boolean("mfaEnabled").eq(False)],
        )
        hook.wait_for_download(download.download_id, timeout=1800)
        with TemporaryDirectory() as folder:
            file = Path(folder, "dormant.csv")
            hook.save_download(download.download_id, str(file))
            with file.open(newline="", encoding="utf-8-sig") as lines:  # -sig: drops a byte order mark
                return Counter(row["department"] or "(none)" for row in csv.DictReader(lines))

    @task
    def summarize(counts: dict[str, int]) -> str:
        """Return one line per department, worst first: pass it to the notifier you use."""
        worst_first = sorted(counts.items(), key=lambda item: -item[1])
        return "\n".join(f"{count:>6} {department}" for department, count in worst_first)

    summarize(count_by_department())


oleria_dormant_accounts()
