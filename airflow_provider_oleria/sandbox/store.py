"""The object store behind presigned URLs: the part of S3 that they need."""

from __future__ import annotations

import hmac
import math
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from aiohttp import web

from airflow_provider_oleria.sandbox.delivery import Body
from airflow_provider_oleria.sandbox.downloads import Download, Downloads, StoredObject
from airflow_provider_oleria.sandbox.settings import Settings

PATH = "/s3/oleria-exports/"

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Store:
    """Presigns URLs and serves the objects behind them."""

    def __init__(self, settings: Settings, downloads: Downloads) -> None:
        self._settings = settings
        self._downloads = downloads
        self._key = secrets.token_bytes(32)
        # By signature: the path and the query that were signed, and when they expire.
        self._presigned: dict[str, tuple[str, Mapping[str, str], float]] = {}
        self._first: dict[str, str] = {}

    @property
    def signatures(self) -> list[str]:
        """The signature of every presigned URL issued."""
        return list(self._presigned)

    def has_presigned(self, download: Download) -> bool:
        """Whether a URL was ever issued for a download."""
        return download.id in self._first

    def presign(self, download: Download) -> str:
        """Return a new URL for a download, without scheme and host."""
        path, life, now = f"{PATH}{download.id}.csv", self._settings.url_seconds, datetime.now(UTC)
        x = "X-Other-" if "other-signature" in self._settings.departures else "X-Amz-"
        query = {
            f"{x}Algorithm": "AWS4-HMAC-SHA256",
            f"{x}Credential": f"AKIASANDBOX/{now:%Y%m%d}/us-west-2/s3/aws4_request",
            f"{x}Date": f"{now:%Y%m%dT%H%M%SZ}",
            f"{x}Expires": str(math.ceil(life)),
            f"{x}SignedHeaders": "host",
        }
        # Numbered, so that two URLs of the same second differ.
        signed = f"{len(self._presigned)}{path}?{urlencode(query)}"
        query[f"{x}Signature"] = signature = hmac.digest(self._key, signed.encode(), "sha256").hex()
        self._presigned[signature] = path, query, now.timestamp() + life
        url = f"{path}?{urlencode(query)}"
        first = self._first.setdefault(download.id, url)
        return first if "same-url" in self._settings.departures else url

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one object, if the URL's signature is valid."""
        departures = self._settings.departures
        if "Authorization" in request.headers and "two-credentials" not in departures:
            return error(400, "InvalidArgument", "Only one auth mechanism allowed")
        if "any-signature" not in departures and (refusal := self._refusal(request)) is not None:
            return refusal
        download = self._downloads.find(request.path.removeprefix(PATH).removesuffix(".csv"))
        if download is None:
            return error(404, "NoSuchKey", "The specified key does not exist.")
        return self._serve(request, download.stored.result(timeout=0))

    def _refusal(self, request: web.Request) -> web.Response | None:
        signature = request.query.get("X-Amz-Signature") or request.query.get("X-Other-Signature")
        if signature is None:
            return error(403, "AccessDenied", "Access Denied")
        path, query, expiry = self._presigned.get(signature, ("", {}, 0.0))
        if (request.method, request.path, dict(request.query)) != ("GET", path, query):
            message = "The request signature we calculated does not match the signature you provided."
            return error(403, "SignatureDoesNotMatch", message)
        return expired(expiry) if time.time() >= expiry else None

    def _serve(self, request: web.Request, stored: StoredObject) -> web.StreamResponse:
        modified, size = formatdate(stored.modified, usegmt=True), stored.size
        headers = {"ETag": stored.etag, "Last-Modified": modified, "Content-Type": "text/csv"}
        if stored.content_encoding:
            headers["Content-Encoding"] = stored.content_encoding
        if self._settings.ranges:
            headers["Accept-Ranges"] = "bytes"
        wanted = [tag.strip() for tag in request.headers.get("If-Match", "*").split(",")]
        if not {"*", stored.etag}.intersection(wanted) and "any-etag" not in self._settings.departures:
            message = "At least one of the pre-conditions you specified did not hold"
            return error(412, "PreconditionFailed", message, Condition="If-Match")
        status, first, last = 200, 0, size - 1
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        unchanged = request.headers.get("If-Range", stored.etag) in (stored.etag, modified)
        # RFC 9110 ignores a range whose end is before its beginning.
        if asked and self._settings.ranges and unchanged and int(asked[1]) <= int(asked[2] or asked[1]):
            status, first, last = 206, int(asked[1]), min(int(asked[2] or last), last)
            if first >= size:
                refusal = error(416, "InvalidRange", "The requested range is not satisfiable")
                refusal.headers["Content-Range"] = f"bytes */{size}"
                return refusal
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        speed = self._settings.bytes_per_second
        return Body(stored.path, first, last - first + 1, speed, status=status, headers=headers)


def expired(expiry: float) -> web.Response:
    """Return S3's response to a URL that expired at ``expiry``, in seconds since the epoch."""
    times = {
        name: f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
        for name, moment in (("Expires", expiry), ("ServerTime", time.time()))
    }
    return error(403, "AccessDenied", "Request has expired", **times)


def error(status: int, code: str, message: str, **details: str) -> web.Response:
    """Return an error in S3's XML."""
    elements = {"Code": code, "Message": message, **details, "RequestId": secrets.token_hex(8).upper()}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'
    return web.Response(status=status, text=text, content_type="application/xml")
