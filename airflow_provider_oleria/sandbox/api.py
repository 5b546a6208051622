"""The Downloads API."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from airflow_provider_oleria.sandbox.calls import ENTRY
from airflow_provider_oleria.sandbox.query import Query, QueryError
from airflow_provider_oleria.sandbox.settings import Settings
from airflow_provider_oleria.sandbox.tenant import Tenant

PATH = "/v1/downloads"


class DownloadsApi:
    """``POST /v1/downloads`` and ``GET /v1/downloads/{id}``."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._limit = _RateLimit(tenant.settings)

    async def create(self, request: web.Request) -> web.Response:
        """Start a download."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        entry = ENTRY.get()
        try:
            query = Query.parse(entry.call.body)
        except QueryError as problem:
            return error(400, problem.code, str(problem))
        download = self._tenant.downloads.create(query, entry.fault.export_fails if entry.fault else None)
        entry.note(download_id=download.id)
        return web.json_response({"id": download.id, "status": "accepted"}, status=201)

    async def get(self, request: web.Request) -> web.Response:
        """Return the status of a download, with a new URL once it is completed."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        download = self._tenant.downloads.find(request.match_info["id"])
        forgets = "forgets" in self._tenant.settings.departures
        if download is None or (forgets and self._tenant.store.has_presigned(download)):
            return error(404, "not_found", "There is no such download, or this credential may not see it.")
        status = self._tenant.downloads.status(download)
        content: dict[str, Any] = {"id": download.id, "status": status}
        if status == "completed":
            content["url"] = f"{request.scheme}://{request.host}{self._tenant.store.presign(download)}"
        if status == "failed":
            message = "The export failed on order." if download.fails else str(download.stored.exception())
            content["error"] = {"code": download.fails or "internal_error", "message": message}
        return web.json_response(content)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if not self._tenant.oauth.accepts(request.headers.get("Authorization")):
            status = 403 if "forbids-bad-tokens" in self._tenant.settings.departures else 401
            return error(status, "unauthorized", "The access token is missing, malformed or expired.")
        if not self._limit.admits():
            refusal = error(429, "rate_limited", "This tenant makes too many requests.")
            refusal.headers["Retry-After"] = "1"
            return refusal
        return None


def error(status: int, code: str, message: str) -> web.Response:
    """Return an error in the form of the API."""
    return web.json_response({"code": code, "message": message}, status=status)


class _RateLimit:
    """Admits at most ``rate_limit`` requests in any second; refused ones do not count."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admitted: list[float] = []

    def admits(self) -> bool:
        limit, now = self._settings.rate_limit, time.monotonic()
        if limit is None:
            return True
        self._admitted = [moment for moment in self._admitted if moment > now - 1]
        admitted = len(self._admitted) < limit
        self._admitted += [now] * admitted
        return admitted
