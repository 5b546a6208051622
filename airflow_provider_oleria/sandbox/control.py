"""Control over HTTP, for other processes than the one the sandbox runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from airflow_provider_oleria.sandbox.calls import Fault
from airflow_provider_oleria.sandbox.tenant import Tenant

PATH = "/_sandbox/"


def routes(tenant: Tenant) -> list[web.RouteDef]:
    """The control endpoints; requests to them are no calls.

    :param tenant: what they control.
    """

    async def calls(_request: web.Request) -> web.Response:
        return web.json_response([asdict(call) for call in tenant.ledger.calls])

    async def forget_calls(_request: web.Request) -> web.Response:
        tenant.ledger.forget_calls()
        return web.Response(status=204)

    async def order_fault(request: web.Request) -> web.Response:
        await _with_json(request, lambda fields: tenant.ledger.order(Fault(**fields)))
        return web.Response(status=201)

    async def forget_faults(_request: web.Request) -> web.Response:
        tenant.ledger.forget_faults()
        return web.Response(status=204)

    async def revoke_tokens(_request: web.Request) -> web.Response:
        tenant.oauth.revoke_tokens()
        return web.Response(status=204)

    async def rotate_secret(_request: web.Request) -> web.Response:
        return web.json_response({"client_secret": tenant.oauth.rotate_secret()})

    async def export(request: web.Request) -> web.Response:
        try:
            expected = await asyncio.to_thread(tenant.exports.expected, request.match_info["id"])
        except KeyError:
            raise web.HTTPNotFound(text="there is no such export") from None
        described = asdict(expected)
        del described["path"]  # of no use in another container
        return web.json_response(described)

    async def settings(_request: web.Request) -> web.Response:
        return web.json_response(asdict(tenant.settings))

    async def change_settings(request: web.Request) -> web.Response:
        await _with_json(request, tenant.settings.update)
        return await settings(request)

    return [
        web.get(f"{PATH}calls", calls),
        web.delete(f"{PATH}calls", forget_calls),
        web.post(f"{PATH}faults", order_fault),
        web.delete(f"{PATH}faults", forget_faults),
        web.post(f"{PATH}tokens/revoke", revoke_tokens),
        web.post(f"{PATH}secret/rotate", rotate_secret),
        web.get(f"{PATH}exports/{{id}}", export),
        web.get(f"{PATH}settings", settings),
        web.patch(f"{PATH}settings", change_settings),
    ]


async def _with_json(request: web.Request, use: Callable[[dict[str, Any]], None]) -> None:
    try:
        # dict() refuses what is no JSON object, Fault and Settings what they do not know.
        use(dict(await request.json()))
    except (TypeError, ValueError) as problem:
        raise web.HTTPBadRequest(text=str(problem)) from None
