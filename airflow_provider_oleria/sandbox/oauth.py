"""The token endpoint, and the tokens it gave out."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from aiohttp import web

from airflow_provider_oleria.sandbox.settings import Settings

PATH = "/oauth2/token"
SCOPE = "ClientCredentialsResourceServer/client_credentials_base_scope"
AUDIENCE = "https://api.example.com"
CLIENT_ID = "sandbox-client"

_REQUIRED = ("grant_type", "client_id", "client_secret", "scope")


class OAuthServer:
    """Mints tokens for the one client of the sandbox; safe to use from any thread.

    :param settings: the sandbox's knobs.
    :param client_secret: the client's first secret; one is made up unless given.
    """

    def __init__(self, settings: Settings, client_secret: str | None = None) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._expiries: dict[str, float] = {}
        self.client_id = CLIENT_ID
        self.tokens: list[str] = []
        self.secrets = [client_secret or _new_secret()]

    @property
    def client_secret(self) -> str:
        """The secret that is valid now."""
        return self.secrets[-1]

    @property
    def _default_audience(self) -> str:
        return "" if "audience-required" in self._settings.departures else AUDIENCE

    def revoke_tokens(self) -> None:
        """Refuse every token issued so far."""
        with self._lock:
            self._expiries.clear()

    def rotate_secret(self) -> str:
        """Replace the secret, and revoke what was minted with the old one; returns the new one."""
        with self._lock:
            self.secrets.append(_new_secret())
            self._expiries.clear()
            return self.client_secret

    def rotate_credentials(self) -> tuple[str, str]:
        """Replace the OAuth application: its id, its secret, its tokens; returns the new id and secret."""
        with self._lock:
            self.client_id = f"{CLIENT_ID}-{secrets.token_hex(4)}"
        return self.client_id, self.rotate_secret()

    def accepts(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header carries a token that is valid now."""
        scheme, _, token = (authorization or "").partition(" ")
        with self._lock:
            return scheme.lower() == "bearer" and time.monotonic() < self._expiries.get(token, 0.0)

    async def handle(self, request: web.Request) -> web.Response:
        """``POST /oauth2/token``: the client-credentials grant, all four fields in the body."""
        form = await form_of(request)
        once = {name: values[0] for name, values in form.items() if len(values) == 1}
        if "Authorization" in request.headers or len(once) < len(form) or not all(map(once.get, _REQUIRED)):
            return error(400, "invalid_request")
        return self._grant(once)

    def _grant(self, form: Mapping[str, str]) -> web.Response:
        if form["grant_type"] != "client_credentials":
            return error(400, "unsupported_grant_type")
        sent = (form["client_id"], form["client_secret"])
        if not _same(sent, (self.client_id, self.client_secret)):
            return error(401, "invalid_client")
        if form["scope"] != SCOPE:
            return error(400, "invalid_scope")
        if form.get("audience", self._default_audience) != AUDIENCE:
            return error(400, "invalid_request")
        life = self._settings.token_seconds
        token = _new_token(self.client_id, life)
        with self._lock:
            self.tokens.append(token)
            self._expiries[token] = time.monotonic() + life
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": int(life)},
            headers={"Cache-Control": "no-store"},
        )


async def form_of(request: web.Request) -> Mapping[str, list[str]]:
    """The fields of a form-encoded body; none if it is not one."""
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    try:
        return parse_qs((await request.read()).decode(), keep_blank_values=True)
    except UnicodeDecodeError:
        return {}


def error(status: int, code: str) -> web.Response:
    """An error as RFC 6749 words it."""
    return web.json_response({"error": code}, status=status, headers={"Cache-Control": "no-store"})


def _same(sent: Sequence[str], wanted: Sequence[str]) -> bool:
    pairs = zip(sent, wanted, strict=True)
    return all(secrets.compare_digest(one.encode(), other.encode()) for one, other in pairs)


def _new_secret() -> str:
    # Characters that look different once form-encoded: a leak sweep has to look for both forms.
    return f"s3cret+/=&%~{secrets.token_urlsafe(24)}"


def _new_token(client_id: str, life: float) -> str:
    """A token that looks like the JWT a real one is; nobody but its issuer may look inside."""
    now = int(time.time())
    claims = {
        "sub": client_id,
        "client_id": client_id,
        "scope": SCOPE,
        "token_use": "access",
        "iat": now,
        "exp": now + int(life),
        "jti": str(uuid.uuid4()),
    }
    parts = [
        json.dumps({"alg": "RS256", "typ": "JWT"}).encode(),
        json.dumps(claims).encode(),
        secrets.token_bytes(64),
    ]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
