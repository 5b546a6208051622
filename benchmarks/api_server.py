"""A minimal Oleria API over TLS for load tests: ``python api_server.py FOLDER``.

Every download stays ``accepted``, and every token is valid, until ``POST /set`` changes an attribute of :class:`Api`.

Prints its port when it is ready; its CA certificate is ``FOLDER/ca.pem``. ``GET /figures`` returns the request counts.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Api:
    """Answers requests and counts them.

    ``status`` is that of all downloads, ``fields`` are the further ones of their bodies, ``lifetime`` is that of the
    tokens, in seconds. While ``unavailable``, the token endpoint answers 503.
    """

    def __init__(self) -> None:
        self.figures = {"polls": 0, "tokens": 0, "connections": 0, "seconds": 0.0}
        self.status, self.fields, self.unavailable = "accepted", {}, False
        self.lifetime = 3600
        self._open: dict[Any, Any] = {}
        self._polled: set[str] = set()
        self._set_at = time.monotonic()

    async def set(self, request: web.Request) -> web.Response:
        """Set attributes. ``polled`` and ``seconds`` count the downloads polled from now on."""
        vars(self).update(await request.json())
        self._polled, self._set_at = set(), time.monotonic()
        return web.json_response({})

    async def token(self, request: web.Request) -> web.Response:
        """Issue a token."""
        self._note(request, "tokens")
        if self.unavailable:
            return web.json_response({}, status=503)
        return web.json_response(
            {"access_token": "token" * 200, "token_type": "Bearer", "expires_in": self.lifetime}
        )

    async def get(self, request: web.Request) -> web.Response:
        """Return the status."""
        self._note(request, "polls")
        name = request.match_info["id"]
        if name not in self._polled:
            self._polled.add(name)
            self.figures["seconds"] = time.monotonic() - self._set_at
        return web.json_response({"id": name, "status": self.status, **self.fields})

    async def figures_so_far(self, _request: web.Request) -> web.Response:
        """Return the counts so far, the open connections, the downloads polled, and when the last of these was."""
        self._open = {peer: line for peer, line in self._open.items() if not line.is_closing()}
        return web.json_response({**self.figures, "open": len(self._open), "polled": len(self._polled)})

    def _note(self, request: web.Request, what: str) -> None:
        self.figures[what] += 1
        assert request.transport
        peer = request.transport.get_extra_info("peername")
        if peer not in self._open:
            self._open[peer] = request.transport
            self.figures["connections"] += 1


async def main(folder: Path) -> None:
    """Serve until the process is killed."""
    api = Api()
    app = web.Application()
    app.router.add_post("/oauth2/token", api.token)
    app.router.add_get("/v1/downloads/{id}", api.get, allow_head=False)
    app.router.add_get("/figures", api.figures_so_far)
    app.router.add_post("/set", api.set)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=75)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_context(folder), backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def _context(folder: Path) -> ssl.SSLContext:
    """Create a self-signed certificate for 127.0.0.1."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "benchmark")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
