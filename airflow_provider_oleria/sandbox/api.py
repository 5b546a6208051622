"""The Downloads API."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.sandbox.calls import ENTRY
from airflow_provider_oleria.sandbox.exports import Export
from airflow_provider_oleria.sandbox.query import Query, QueryError
from airflow_provider_oleria.sandbox.tenant import Tenant

PATH = "/v1/downloads"


class DownloadsApi:
    """``POST /v1/downloads`` and ``GET /v1/downloads/{id}``.

    :param tenant: whose exports these are.
    """

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def create(self, request: web.Request) -> web.Response:
        """Start an export."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        entry = ENTRY.get()
        try:
            query = Query.parse(entry.call.body)
        except QueryError as problem:
            return error(400, problem.code, str(problem))
        export = self._tenant.exports.create(query, entry.fault.export_fails if entry.fault else None)
        entry.note(download_id=export.id)
        return web.json_response({"id": export.id, "status": DownloadStatus.ACCEPTED}, status=201)

    async def get(self, request: web.Request) -> web.Response:
        """Say where an export stands; give a new URL every time once it is complete."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        export = self._tenant.exports.find(request.match_info["id"])
        if export is None or self._is_forgotten(export):
            return error(
                404, "not_found", "There is no such download, or it is not visible to this credential."
            )
        return web.json_response(self._describe(export, f"{request.scheme}://{request.host}"))

    def _describe(self, export: Export, origin: str) -> dict[str, Any]:
        status = self._tenant.exports.status(export)
        described: dict[str, Any] = {"id": export.id, "status": status}
        if status == DownloadStatus.COMPLETED:
            described["url"] = origin + self._tenant.store.presign(export)
        if status == DownloadStatus.FAILED:
            message = "The export failed on order." if export.fails else str(export.stored.exception())
            described["error"] = {"code": export.fails or "internal_error", "message": message}
        return described

    def _is_forgotten(self, export: Export) -> bool:
        return "forgets" in self._tenant.settings.departures and self._tenant.store.has_presigned(export)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if not self._tenant.oauth.accepts(request.headers.get("Authorization")):
            status = 403 if "forbids-bad-tokens" in self._tenant.settings.departures else 401
            return error(status, "unauthorized", "The access token is missing, malformed or expired.")
        if not self._tenant.limit.admits():
            refusal = error(429, "rate_limited", "This tenant makes too many requests.")
            refusal.headers["Retry-After"] = "1"
            return refusal
        return None


def error(status: int, code: str, message: str) -> web.Response:
    """An error as the API words it."""
    return web.json_response({"code": code, "message": message}, status=status)
