"""The web application: the published API, its token endpoint and its store, with faults on order."""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from airflow_provider_oleria.sandbox import api, control, oauth, store
from airflow_provider_oleria.sandbox.calls import ENTRY, Call, Entry, Fault
from airflow_provider_oleria.sandbox.delivery import Body, Nothing, pause
from airflow_provider_oleria.sandbox.tenant import Tenant


def make_app(tenant: Tenant) -> web.Application:
    """Return the application that serves a tenant."""
    downloads = api.DownloadsApi(tenant)
    # No limit to a body's size: aiohttp's own is not Oleria's.
    app = web.Application(client_max_size=0, middlewares=[_Reception(tenant).receive, _as_json])
    app.router.add_post(oauth.PATH, tenant.oauth.handle)
    app.router.add_post(api.PATH, downloads.create)
    app.router.add_get(f"{api.PATH}/{{id}}", downloads.get, allow_head=False)
    app.router.add_route("*", f"{store.PATH}{{key:.*}}", tenant.store.handle)
    app.router.add_routes(control.routes(tenant))
    return app


@web.middleware
async def _as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give what aiohttp itself refuses, such as an unknown path, the form of the API's errors."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return api.error(refusal.status, _code(refusal.status), refusal.text or refusal.reason)


class _Reception:
    """Enters every request in the ledger, and applies the fault on order, if any."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    @web.middleware
    async def receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(control.PATH):
            return await handler(request)
        entry = self._tenant.ledger.arrive(_call(request))
        ENTRY.set(entry)
        await self._read(request, entry)
        fault = entry.fault
        response = await (handler(request) if fault is None else self._with_fault(request, handler, fault))
        if not isinstance(response, Nothing):
            entry.note(status=response.status)
        return response

    async def _read(self, request: web.Request, entry: Entry) -> None:
        """Note what the request is about, whether or not a fault then prevents its processing."""
        call = entry.call
        if call.kind == "token":
            # Names only: the values are secrets.
            entry.note(body=list(await oauth.form_of(request)))
        elif call.kind == "create":
            try:
                body = json.loads(await request.read())
            except ValueError:
                return
            context = body.get("context") if isinstance(body, dict) else None
            entry.note(body=body, data_context=context if isinstance(context, str) else None)
        elif call.download_id and (download := self._tenant.downloads.find(call.download_id)):
            entry.note(data_context=download.query.data_context)

    async def _with_fault(self, request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
        closing = self._tenant.closing
        await pause(request, fault.delay or 0, closing)
        if fault.hang is not None:
            await pause(request, fault.hang, closing)
            return Nothing()
        response = await _respond(request, handler, fault)
        if fault.replaces and (download_id := ENTRY.get().call.download_id):
            # The response keeps the object that it has opened.
            await asyncio.to_thread(self._tenant.downloads.replace, download_id)
        _amend(response, fault)
        if fault.drop:
            return Nothing()
        count = fault.cut if fault.stall is None else fault.stall
        if count is None:
            return response
        if isinstance(response, web.Response):
            body = response.body if isinstance(response.body, bytes) else b""
            response = Body(body, 0, len(body), status=response.status, headers=response.headers)
        if isinstance(response, Body):
            response.end_early(count, None if fault.stall is None else closing)
        return response


async def _respond(request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
    kind = ENTRY.get().call.kind
    if fault.expired and kind == "fetch":
        return store.expired(time.time() - 60)
    if fault.body is not None:
        return web.Response(status=fault.status or 200, text=fault.body, content_type=fault.content_type)
    if fault.status is None:
        return await handler(request)
    code = _code(fault.status)
    if kind == "fetch":
        return store.error(fault.status, code.title().replace("_", ""), "Ordered by a fault.")
    if kind == "token":
        return oauth.error(fault.status, code)
    return api.error(fault.status, code, "Ordered by a fault.")


def _amend(response: web.StreamResponse, fault: Fault) -> None:
    if fault.sent_as is not None:
        response.set_status(fault.sent_as)
    if fault.fields and isinstance(response, web.Response) and response.content_type == "application/json":
        amended = json.loads(response.text or "{}") | fault.fields
        response.text = json.dumps({name: value for name, value in amended.items() if value is not None})
    for name, value in (fault.headers or {}).items():
        response.headers.popall(name, None)
        if value is not None:
            response.headers[name] = value


def _code(status: int) -> str:
    try:
        return HTTPStatus(status).name.lower()
    except ValueError:
        return f"status_{status}"


def _call(request: web.Request) -> Call:
    path, kind, download_id = request.path, "other", None
    if request.method == "POST":
        kind = {oauth.PATH: "token", api.PATH: "create"}.get(path, "other")
    elif path.startswith(f"{api.PATH}/") and request.method == "GET":
        kind, download_id = "get", path.removeprefix(f"{api.PATH}/")
    if path.startswith(store.PATH):
        kind, download_id = "fetch", path.removeprefix(store.PATH).removesuffix(".csv")
    return Call(
        kind,
        request.method,
        path,
        download_id=download_id,
        range=request.headers.get("Range"),
        authorization="Authorization" in request.headers,
        time=time.time(),
        client="{}:{}".format(*request.get_extra_info("peername", ("", ""))),
    )
