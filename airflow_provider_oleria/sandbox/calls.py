"""What was asked of the sandbox, and what it was told to do wrong."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

KINDS = ("token", "create", "get", "fetch", "other")

_ENDINGS = ("status", "body", "hang", "drop", "cut", "stall", "expired")
_WITH_ANY = ("headers", "fields", "sent_as", "delay", "export_fails")


@dataclass(frozen=True)
class Call:
    """One request the sandbox received.

    :param kind: ``token``, ``create``, ``get``, ``fetch`` (from the store) or ``other``.
    :param method: the HTTP method.
    :param path: the path, without the query.
    :param status: the status sent; ``None`` while there is none, and for ever when the connection was dropped or hung.
    :param download_id: the download concerned, if any; of a create that succeeded, the new one.
    :param data_context: what that download exports.
    :param body: of a create, the JSON body; of a token request, the names of the form's fields; else ``None``.
    :param range: the ``Range`` header.
    :param authorization: whether there was an ``Authorization`` header.
    :param time: when the request arrived, in seconds since the epoch.
    :param client: host and port it came from: the same for all requests over one connection.
    """

    kind: str
    method: str
    path: str
    status: int | None = None
    download_id: str | None = None
    data_context: str | None = None
    body: Any = None
    range: str | None = None
    authorization: bool = False
    time: float = 0.0
    client: str = ""


@dataclass(frozen=True)
class Fault:
    """Something to go wrong on order.

    A fault with a status or body answers in place of the sandbox, which does nothing else; so does ``hang``. With
    every other effect the request is carried out first. At most one of ``status``/``body``, ``hang``, ``drop``,
    ``cut``, ``stall`` and ``expired``; ``delay``, ``headers``, ``fields``, ``sent_as`` and ``export_fails`` go with
    any.

    :param kind: the kind of call it strikes, or ``any``.
    :param nth: the first call it strikes, counted from 1 since the fault was ordered.
    :param times: how many calls in a row it strikes; ``None`` for all that follow.
    :param status: answer with this status.
    :param headers: set these headers of the answer; ``None`` takes one away.
    :param fields: set these fields of a JSON answer; ``None`` takes one away.
    :param sent_as: carry the request out, and send the answer with this status.
    :param body: answer with exactly this text; status 200 unless given.
    :param content_type: of ``body``.
    :param hang: send nothing for so many seconds, then close the connection.
    :param delay: wait so many seconds, then go on.
    :param drop: carry the request out (a create does create), then close the connection without an answer.
    :param cut: announce the whole body, send so many bytes of it, close the connection.
    :param stall: announce the whole body, send so many bytes of it, and then nothing until the client leaves.
    :param expired: (fetch) answer as if the presigned URL had expired.
    :param export_fails: (create) the export ends as ``failed`` with this error code.
    """

    kind: str = "any"
    nth: int = 1
    times: int | None = 1
    status: int | None = None
    headers: Mapping[str, str | None] | None = None
    fields: Mapping[str, Any] | None = None
    sent_as: int | None = None
    body: str | None = None
    content_type: str = "application/json"
    hang: float | None = None
    delay: float | None = None
    drop: bool | None = None
    cut: int | None = None
    stall: int | None = None
    expired: bool | None = None
    export_fails: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, "any"):
            raise ValueError(f"a fault's kind is one of {', '.join(KINDS)} or any, not {self.kind!r}")
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("a fault's nth and times count from 1")
        if self.expired and self.kind not in ("fetch", "any"):
            raise ValueError("only a fetch can meet an expired URL")
        if self.export_fails and self.kind not in ("create", "any"):
            raise ValueError("export_fails goes with a create")
        endings = {name for name in _ENDINGS if self._is_set(name)}
        if len(endings - {"body"} if "status" in endings else endings) > 1:
            raise ValueError(f"a fault ends a call in one way, not by {', '.join(sorted(endings))}")
        if not endings and not any(map(self._is_set, _WITH_ANY)):
            raise ValueError("the fault says nothing that should go wrong")

    def _is_set(self, name: str) -> bool:
        value = getattr(self, name)
        return value is not None and value is not False

    def strikes(self, count: int) -> bool:
        """Whether it strikes the call that is number ``count`` of its kind since it was ordered."""
        return count >= self.nth and (self.times is None or count < self.nth + self.times)


class Entry:
    """A call in the ledger while it is being answered.

    :param call: what is known of it.
    :param fault: the fault that strikes it, if any.
    """

    def __init__(self, call: Call, fault: Fault | None) -> None:
        self.call = call
        self.fault = fault

    def note(self, **changes: Any) -> None:
        """Fill in what is known by now."""
        self.call = replace(self.call, **changes)


ENTRY: ContextVar[Entry] = ContextVar("entry")
"""The call that is being answered."""


class Ledger:
    """The calls received and the faults on order; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._orders: list[_Order] = []

    @property
    def calls(self) -> list[Call]:
        """Every call so far, in order of arrival."""
        with self._lock:
            return [entry.call for entry in self._entries]

    def arrive(self, call: Call) -> Entry:
        """Enter a call. Of several faults that strike it, the one ordered first does."""
        with self._lock:
            striking = [order.fault for order in self._orders if order.meets(call.kind)]
            entry = Entry(call, striking[0] if striking else None)
            self._entries.append(entry)
        return entry

    def order(self, fault: Fault) -> None:
        """Order a fault."""
        with self._lock:
            self._orders.append(_Order(fault))

    def forget_calls(self) -> None:
        """Empty the ledger."""
        with self._lock:
            self._entries.clear()

    def forget_faults(self) -> None:
        """Take back every fault."""
        with self._lock:
            self._orders.clear()


class _Order:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._count = 0

    def meets(self, kind: str) -> bool:
        if self.fault.kind not in (kind, "any"):
            return False
        self._count += 1
        return self.fault.strikes(self._count)
