"""Run a DAG file with ``dag.test()``: ``python run_dag.py FILE``. Prints the seconds it took."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db


def main(path: Path) -> None:
    """Register it, and run it."""
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(str(path), bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    dag = bag.dags["bench"]
    began = time.perf_counter()
    run = dag.test()
    took = time.perf_counter() - began
    assert run.state == "success", run.state
    print(took)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
