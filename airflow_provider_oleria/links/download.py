"""The buttons on the page of a task that exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_oleria.location import Location

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskInstanceKey


class OleriaLink(BaseOperatorLink):
    """To Oleria. Its guides have no published address of their own, so this is the vendor's site."""

    name = "Oleria"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The same for all tasks."""
        return "https://www.oleria.com/"


class SavedFileLink(BaseOperatorLink):
    """To the saved file in the console of S3 or GCS; no link for other stores, and before it is saved.

    Airflow 3 asks in the worker when the task has ended, and stores the link; 2.11 asks when somebody looks. Both read
    what the task returned: nothing is connected to.
    """

    name = "Saved file"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The console's address; empty where there is none.

        :param operator: the task.
        :param ti_key: its run.
        """
        from airflow.providers.common.compat.sdk import XCom

        result = XCom.get_value(ti_key=ti_key, key="return_value")
        path = result.get("path") if isinstance(result, dict) else None
        return Location.of(path).console_url if path else ""
