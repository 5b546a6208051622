"""The buttons on the page of a task that exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.compat import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class OleriaGuideLink(BaseOperatorLink):
    """To the vendor's guide to downloads."""

    name = "Oleria's guide to downloads"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The same for all tasks."""
        return "https://docs.oleria.com/developer-docs/api-reference/working-with-downloads"


class OleriaSavedFileLink(BaseOperatorLink):
    """To the saved file in the console of S3 or GCS; no link for other stores, and before it is saved.

    Airflow 3 asks in the worker when the task has ended, well or not, and stores the link. 2.11 asks in its webserver
    when somebody looks: there, what the task returned says where the file is. Nothing is connected to.
    """

    name = "Saved file"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The console's address; empty where there is none.

        :param operator: the task.
        :param ti_key: its run.
        """
        from airflow_provider_oleria.observability.location import Location

        if hasattr(operator, "saved"):
            path = operator.saved.path if operator.saved else None
        else:  # a task as the webserver knows it
            from airflow_provider_oleria.compat import XCom

            result = XCom.get_value(ti_key=ti_key, key="return_value")
            path = result.get("path") if isinstance(result, dict) else None
        return Location.of(path).console_url if path else ""
