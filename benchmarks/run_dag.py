"""Run a DAG file with ``dag.test()``: ``python run_dag.py FILE TIMES``. Prints the seconds it took."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db


def main(path: Path, times: int) -> None:
    """Register it, and run it, one run after the other."""
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(str(path), bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    dag = bag.dags["bench"]
    began = time.perf_counter()
    for number in range(times):
        run = dag.test(logical_date=datetime(2026, 1, 1, tzinfo=UTC) + number * timedelta(days=1))
        assert run.state == "success", run.state
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
