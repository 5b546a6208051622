"""Buttons on the page of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.compat import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class OleriaSavedFileLink(BaseOperatorLink):
    """The saved file in the console of S3 or GCS; no link for other stores, or before the file is saved.

    Airflow 3 calls this in the worker at the end of the task and stores the link. Airflow 2.11 calls it in the
    webserver, where the task's return value has the path. The link is made from the path, without a request.
    """

    name = "Saved file"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The URL in the console; empty if there is none.

        :param operator: the task.
        :param ti_key: its run.
        """
        from airflow_provider_oleria.observability.location import Location

        if hasattr(operator, "saved"):
            path = operator.saved.path if operator.saved else None
        else:  # the webserver has a serialized operator
            from airflow_provider_oleria.compat import XCom

            result = XCom.get_value(ti_key=ti_key, key="return_value")
            path = result.get("path") if isinstance(result, dict) else None
        return Location.of(path).console_url if path else ""
