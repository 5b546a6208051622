"""The requests that the sandbox received, and the faults that were ordered."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

KINDS = ("token", "create", "get", "fetch", "other")

_ENDINGS = ("status", "body", "hang", "drop", "cut", "stall", "expired")
_WITH_ANY = ("headers", "fields", "sent_as", "delay", "replaces", "export_fails")


@dataclass(frozen=True)
class Call:
    """One request the sandbox received.

    :param kind: ``token``, ``create``, ``get``, ``fetch`` (from the store) or ``other``.
    :param method: the HTTP method.
    :param path: the path, without the query.
    :param status: the status of the response; ``None`` until there is one, and if none was sent.
    :param download_id: the download concerned, if any; of a create that succeeded, the new one.
    :param data_context: the data context of that download.
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

    With ``status``, ``body`` or ``hang`` the request is not processed; with every other effect it is. At most one of
    ``status``/``body``, ``hang``, ``drop``, ``cut``, ``stall`` and ``expired``; the others go with any.

    :param kind: the kind of request it affects, or ``any``.
    :param nth: the first request it affects, counted from 1 since the fault was ordered.
    :param times: how many requests in a row it affects; ``None`` for all that follow.
    :param status: respond with this status.
    :param headers: set these response headers; ``None`` removes one.
    :param fields: set these fields of a JSON response, such as ``{"status": "queued"}``; ``None`` removes one.
    :param sent_as: process the request, and send the response with this status.
    :param body: respond with exactly this text; status 200 if not given.
    :param content_type: of ``body``.
    :param hang: send nothing for this many seconds, then close the connection.
    :param delay: wait this many seconds, then continue.
    :param drop: process the request (a create does create), then close the connection without a response.
    :param cut: announce the whole body, send this many bytes of it, close the connection.
    :param stall: announce the whole body, send this many bytes of it, then nothing until the client leaves.
    :param expired: (fetch) respond as if the presigned URL had expired.
    :param replaces: (fetch) send the file as it is, and replace it before the next request.
    :param export_fails: (create) the download ends as ``failed`` with this error code.
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
    drop: bool = False
    cut: int | None = None
    stall: int | None = None
    expired: bool = False
    replaces: bool = False
    export_fails: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, "any"):
            raise ValueError(f"a fault's kind is one of {', '.join(KINDS)} or any, not {self.kind!r}")
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("a fault's nth and times count from 1")
        if (self.expired or self.replaces) and self.kind not in ("fetch", "any"):
            raise ValueError("expired and replaces go with a fetch")
        if self.export_fails and self.kind not in ("create", "any"):
            raise ValueError("export_fails goes with a create")
        endings = {name for name in _ENDINGS if self._is_set(name)}
        if len(endings - {"body"} if "status" in endings else endings) > 1:
            raise ValueError(f"a fault ends a request in one way, not by {', '.join(sorted(endings))}")
        if not endings and not any(map(self._is_set, _WITH_ANY)):
            raise ValueError("the fault has no effect")

    def _is_set(self, name: str) -> bool:
        value = getattr(self, name)
        return value is not None and value is not False


@dataclass
class Entry:
    """A request in the ledger, and the fault that affects it, if any."""

    call: Call
    fault: Fault | None

    def note(self, **changes: Any) -> None:
        """Add what has become known."""
        self.call = replace(self.call, **changes)


ENTRY: ContextVar[Entry] = ContextVar("entry")
"""The request that is being processed."""


class Ledger:
    """The requests received and the faults on order; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        # Each fault, and how many requests of its kind there were since it was ordered.
        self._faults: list[tuple[Fault, Iterator[int]]] = []

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order of arrival."""
        with self._lock:
            return [entry.call for entry in self._entries]

    def arrive(self, call: Call) -> Entry:
        """Enter a request. Of several faults that affect it, the one ordered first applies."""
        with self._lock:
            ours = [(fault, next(count)) for fault, count in self._faults if fault.kind in (call.kind, "any")]
            faults = (fault for fault, count in ours if 0 <= count - fault.nth < (fault.times or math.inf))
            entry = Entry(call, next(faults, None))
            self._entries.append(entry)
        return entry

    def order(self, fault: Fault) -> None:
        """Order a fault."""
        with self._lock:
            self._faults.append((fault, itertools.count(1)))

    def forget_calls(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._entries.clear()

    def forget_faults(self) -> None:
        """Withdraw every fault."""
        with self._lock:
            self._faults.clear()
