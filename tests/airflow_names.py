"""The version of Airflow the tests run on, and where it has what a DAG file imports."""

from __future__ import annotations

from airflow import __version__
from packaging.version import Version

_RELEASE = Version(__version__).release

AIRFLOW_V_3_0_PLUS = _RELEASE >= (3, 0)
AIRFLOW_V_3_1_PLUS = _RELEASE >= (3, 1)
AIRFLOW_V_3_2_PLUS = _RELEASE >= (3, 2)
AIRFLOW_V_3_3_PLUS = _RELEASE >= (3, 3)
AIRFLOW_3_0 = AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_1_PLUS

if AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import DAG, TaskGroup, dag, task
    from airflow.sdk.io import attach
else:
    from airflow.decorators import dag, task
    from airflow.io.store import attach
    from airflow.models.dag import DAG
    from airflow.utils.task_group import TaskGroup

__all__ = ["DAG", "TaskGroup", "attach", "dag", "task"]
