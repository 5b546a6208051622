"""The object store behind presigned URLs: as much of S3 as they need."""

from __future__ import annotations

import hmac
import math
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from aiohttp import web

from airflow_provider_oleria.sandbox.delivery import FileSlice
from airflow_provider_oleria.sandbox.exports import Export, Exports, StoredObject
from airflow_provider_oleria.sandbox.settings import Settings

BUCKET = "oleria-exports"
PATH = f"/s3/{BUCKET}/"

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class _Presigned:
    download_id: str
    query: Mapping[str, str]
    expires_at: float


class Store:
    """Presigns URLs and serves what they point at.

    :param settings: the sandbox's knobs.
    :param exports: where the objects are.
    """

    def __init__(self, settings: Settings, exports: Exports) -> None:
        self._settings = settings
        self._exports = exports
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._presigned: dict[str, _Presigned] = {}
        self._first: dict[str, str] = {}

    @property
    def signatures(self) -> list[str]:
        """The signature of every presigned URL issued."""
        with self._lock:
            return list(self._presigned)

    def has_presigned(self, export: Export) -> bool:
        """Whether a URL was ever issued for an export."""
        return export.id in self._first

    def presign(self, export: Export) -> str:
        """A new URL for an export, without scheme and host."""
        with self._lock:
            url = self._signed(export)
            first = self._first.setdefault(export.id, url)
        return first if "same-url" in self._settings.departures else url

    def _signed(self, export: Export) -> str:
        life, now = self._settings.url_seconds, datetime.now(UTC)
        x = "X-Other-" if "other-signature" in self._settings.departures else "X-Amz-"
        query = {
            f"{x}Algorithm": "AWS4-HMAC-SHA256",
            f"{x}Credential": f"AKIASANDBOX/{now:%Y%m%d}/us-west-2/s3/aws4_request",
            f"{x}Date": f"{now:%Y%m%dT%H%M%SZ}",
            f"{x}Expires": str(math.ceil(life)),
            f"{x}SignedHeaders": "host",
        }
        # Numbered, so that two URLs of the same second differ.
        signed = f"{len(self._presigned)}/{export.id}?{urlencode(query)}"
        query[f"{x}Signature"] = signature = hmac.digest(self._key, signed.encode(), "sha256").hex()
        self._presigned[signature] = _Presigned(export.id, query, now.timestamp() + life)
        return f"{PATH}{export.id}.csv?{urlencode(query)}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one object, if the URL's signature is one of ours and still valid."""
        departures = self._settings.departures
        if "Authorization" in request.headers and "two-credentials" not in departures:
            message = (
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified"
            )
            return error(400, "InvalidArgument", message)
        refusal = self._refusal(request)
        if refusal is not None and "any-signature" not in departures:
            return refusal
        export = self._exports.find(request.path.removeprefix(PATH).removesuffix(".csv"))
        if export is None:
            return error(404, "NoSuchKey", "The specified key does not exist.")
        return self._serve(request, export.stored.result(timeout=0))

    def _refusal(self, request: web.Request) -> web.Response | None:
        signature = request.query.get("X-Amz-Signature") or request.query.get("X-Other-Signature")
        if signature is None:
            return error(403, "AccessDenied", "Access Denied")
        with self._lock:
            presigned = self._presigned.get(signature)
        if presigned is None or not _is_as_signed(presigned, request):
            message = "The request signature we calculated does not match the signature you provided."
            return error(403, "SignatureDoesNotMatch", message)
        return expired(presigned.expires_at) if time.time() >= presigned.expires_at else None

    def _serve(self, request: web.Request, stored: StoredObject) -> web.StreamResponse:
        headers = {
            "ETag": stored.etag,
            "Last-Modified": formatdate(stored.modified, usegmt=True),
            "Content-Type": "text/csv",
        }
        if stored.content_encoding:
            headers["Content-Encoding"] = stored.content_encoding
        if self._settings.ranges:
            headers["Accept-Ranges"] = "bytes"
        condition = "*" if "any-etag" in self._settings.departures else request.headers.get("If-Match", "*")
        if not _names(condition, stored.etag):
            message = "At least one of the pre-conditions you specified did not hold"
            return error(412, "PreconditionFailed", message, Condition="If-Match")
        status, first, last = 200, 0, stored.size - 1
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        if asked and self._settings.ranges and _unchanged(request, stored):
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            if first >= stored.size:
                return error(
                    416,
                    "InvalidRange",
                    "The requested range is not satisfiable",
                    headers={"Content-Range": f"bytes */{stored.size}"},
                    ActualObjectSize=str(stored.size),
                )
            if first <= last:
                status = 206
                headers["Content-Range"] = f"bytes {first}-{last}/{stored.size}"
            else:  # not a range at all: RFC 9110 has it ignored
                first, last = 0, stored.size - 1
        return FileSlice(
            stored.path,
            first,
            last - first + 1,
            self._settings.bytes_per_second,
            status=status,
            headers=headers,
        )


def expired(expired_at: float | None = None) -> web.Response:
    """S3's answer to a presigned URL past its time.

    :param expired_at: since when, in seconds since the epoch; a minute ago unless given.
    """
    now = datetime.now(UTC)
    moment = datetime.fromtimestamp(expired_at, UTC) if expired_at else now - timedelta(minutes=1)
    return error(
        403,
        "AccessDenied",
        "Request has expired",
        Expires=f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        ServerTime=f"{now:%Y-%m-%dT%H:%M:%SZ}",
    )


def error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **details: str
) -> web.Response:
    """An answer in S3's own XML.

    :param status: the HTTP status.
    :param code: S3's code.
    :param message: S3's text.
    :param headers: more headers.
    :param details: more elements of the body.
    """
    elements = {"Code": code, "Message": message, **details, "RequestId": secrets.token_hex(8).upper()}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
    return web.Response(
        status=status,
        text=f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>',
        content_type="application/xml",
        headers=headers,
    )


def _is_as_signed(presigned: _Presigned, request: web.Request) -> bool:
    """Whether this is the request that was signed: that object, GET, and every parameter as it was."""
    return (
        request.method == "GET"
        and request.path == f"{PATH}{presigned.download_id}.csv"
        and dict(request.query) == presigned.query
    )


def _names(condition: str, etag: str) -> bool:
    return condition.strip() == "*" or etag in (tag.strip() for tag in condition.split(","))


def _unchanged(request: web.Request, stored: StoredObject) -> bool:
    condition = request.headers.get("If-Range")
    return condition is None or condition in (stored.etag, formatdate(stored.modified, usegmt=True))
