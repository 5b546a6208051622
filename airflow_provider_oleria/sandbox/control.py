"""Control over HTTP, for DAGs that run in another process than the sandbox.

Only requests with a loopback ``Host`` are served, and bodies must be JSON: no web page can turn the sandbox's settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web
from yarl import URL

from airflow_provider_oleria.sandbox.calls import Fault
from airflow_provider_oleria.sandbox.tenant import Tenant

PATH = "/_sandbox/"

_HOSTS = ("127.0.0.1", "::1", "localhost")


def routes(tenant: Tenant) -> list[web.RouteDef]:
    """Return the control endpoints. Requests to them are not entered in the ledger."""

    async def calls(request: web.Request) -> web.Response:
        _check_host(request)
        return web.json_response([asdict(call) for call in tenant.ledger.calls])

    async def order_fault(request: web.Request) -> web.Response:
        await _with_json(request, lambda fields: tenant.ledger.order(Fault(**fields)))
        return web.Response(status=201)

    async def change_settings(request: web.Request) -> web.Response:
        await _with_json(request, tenant.settings.update)
        return web.json_response(asdict(tenant.settings))

    return [
        web.get(f"{PATH}calls", calls),
        web.post(f"{PATH}faults", order_fault),
        web.patch(f"{PATH}settings", change_settings),
    ]


def _check_host(request: web.Request) -> None:
    if URL(f"http://{request.host}").host not in _HOSTS:
        raise web.HTTPForbidden(text=f"control is served to a loopback host, not to {request.host}")


async def _with_json(request: web.Request, use: Callable[[dict[str, Any]], None]) -> None:
    _check_host(request)
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
    try:
        # dict() refuses what is no JSON object, Fault and Settings what they do not know.
        use(dict(await request.json()))
    except (TypeError, ValueError) as problem:
        raise web.HTTPBadRequest(text=str(problem)) from None
