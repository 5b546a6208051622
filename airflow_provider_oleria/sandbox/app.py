"""The web application: the published API, its token endpoint and its store, with faults on order."""

from __future__ import annotations

import json
import time
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from airflow_provider_oleria.sandbox import api, control, oauth, store
from airflow_provider_oleria.sandbox.calls import ENTRY, Call, Entry, Fault
from airflow_provider_oleria.sandbox.delivery import Broken, Nothing, pause
from airflow_provider_oleria.sandbox.tenant import Tenant


def make_app(tenant: Tenant) -> web.Application:
    """The application that serves one tenant.

    :param tenant: whose state the endpoints read and change.
    """
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
    """What aiohttp refuses by itself, such as an unknown path, is refused in the API's words."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return api.error(refusal.status, _code(refusal.status), refusal.text or refusal.reason)


class _Reception:
    """Every call passes here: it is entered in the ledger, and struck by the fault on order, if any."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    @web.middleware
    async def receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(control.PATH):
            return await handler(request)
        entry = self._tenant.ledger.arrive(_call(request))
        ENTRY.set(entry)
        await _read(self._tenant, request, entry)
        answer = await (self._struck(request, handler, entry.fault) if entry.fault else handler(request))
        if not isinstance(answer, Nothing):
            entry.note(status=answer.status)
        return answer

    async def _struck(self, request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
        if fault.delay is not None:
            await pause(request, fault.delay, self._tenant.closing)
        if fault.hang is not None:
            await pause(request, fault.hang, self._tenant.closing)
            return Nothing()
        answer = await _answer(request, handler, fault)
        _amend(answer, fault)
        if fault.drop:
            return Nothing()
        for count, stalls in ((fault.cut, False), (fault.stall, True)):
            if count is not None:
                return Broken(answer, count, self._tenant.closing, stalls=stalls)
        return answer


async def _answer(request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
    kind = ENTRY.get().call.kind
    if fault.expired and kind == "fetch":
        return store.expired()
    if fault.body is not None:
        return web.Response(status=fault.status or 200, text=fault.body, content_type=fault.content_type)
    if fault.status is None:
        return await handler(request)
    code = _code(fault.status)
    match kind:
        case "fetch":
            return store.error(fault.status, code.title().replace("_", ""), "Ordered by a fault.")
        case "token":
            return oauth.error(fault.status, code)
        case _:
            return api.error(fault.status, code, "Ordered by a fault.")


def _amend(answer: web.StreamResponse, fault: Fault) -> None:
    if fault.sent_as is not None:
        answer.set_status(fault.sent_as)
    if fault.fields and isinstance(answer, web.Response) and answer.content_type == "application/json":
        amended = json.loads(answer.text or "{}") | fault.fields
        answer.text = json.dumps({name: value for name, value in amended.items() if value is not None})
    for name, value in (fault.headers or {}).items():
        answer.headers.popall(name, None)
        if value is not None:
            answer.headers[name] = value


def _code(status: int) -> str:
    try:
        return HTTPStatus(status).name.lower()
    except ValueError:
        return f"status_{status}"


def _call(request: web.Request) -> Call:
    kind, download_id = "other", None
    if request.path == oauth.PATH and request.method == "POST":
        kind = "token"
    elif request.path == api.PATH and request.method == "POST":
        kind = "create"
    elif request.path.startswith(f"{api.PATH}/") and request.method == "GET":
        kind, download_id = "get", request.path.removeprefix(f"{api.PATH}/")
    elif request.path.startswith(store.PATH):
        kind, download_id = "fetch", request.path.removeprefix(store.PATH).removesuffix(".csv")
    return Call(
        kind,
        request.method,
        request.path,
        download_id=download_id,
        range=request.headers.get("Range"),
        authorization="Authorization" in request.headers,
        time=time.time(),
        client="{}:{}".format(*request.get_extra_info("peername", ("", ""))),
    )


async def _read(tenant: Tenant, request: web.Request, entry: Entry) -> None:
    """Fill in what the call is about, whether or not a fault then keeps it from being carried out."""
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
    elif call.download_id and (export := tenant.exports.find(call.download_id)):
        entry.note(data_context=str(export.query.data_context))
