"""Every Monday: how many dormant accounts without MFA each department has, by the hook alone in a ``@task``.

The rows are read and dropped: nothing is kept but the counts. For a file that is to stay, or an export that takes long,
use :class:`OleriaDownloadOperator`: it can wait without a worker slot, and its retry goes on with the export it finds,
where this one starts another.

Needs the Connection ``oleria_default``.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Filter
from airflow_provider_oleria.hooks.oleria import OleriaHook


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
        # Fields are the sandbox's: take yours from the header of an export of your own tenant.
        download = hook.create_download(
            DataContext.ACCOUNT_UTILIZATION,
            filter_by=[Filter.number("dormantDays").gte(90), Filter.boolean("mfaEnabled").eq(False)],
        )
        hook.wait_for_download(download.download_id, deadline=time.time() + 1800)
        with TemporaryDirectory() as folder:
            file = Path(folder, "dormant.csv")
            hook.save_download(download.download_id, file.as_uri())
            with file.open(newline="", encoding="utf-8") as lines:
                return Counter(row["department"] or "(none)" for row in csv.DictReader(lines))

    @task
    def tell(counts: dict[str, int]) -> str:
        """One line per department, worst first: hand it to the notifier you use."""
        worst_first = sorted(counts.items(), key=lambda item: -item[1])
        return "\n".join(f"{count:>6} {department}" for department, count in worst_first)

    tell(count_by_department())


oleria_dormant_accounts()
