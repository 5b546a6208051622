"""The token endpoint, and the tokens it issued."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from urllib.parse import parse_qs

from aiohttp import web

from airflow_provider_oleria.sandbox.settings import Settings

PATH = "/oauth2/token"
SCOPE = "ClientCredentialsResourceServer/client_credentials_base_scope"
AUDIENCE = "https://api.example.com"
CLIENT_ID = "sandbox-client"

_REQUIRED = ("grant_type", "client_id", "client_secret", "scope")


class OAuthServer:
    """Issues tokens for the one client of the sandbox."""

    def __init__(self, settings: Settings, client_secret: str | None = None) -> None:
        self._settings = settings
        self._expiries: dict[str, float] = {}
        self.client_id = CLIENT_ID
        self.tokens: list[str] = []
        self.secrets = [client_secret or _new_secret()]

    @property
    def client_secret(self) -> str:
        """The secret that is valid now."""
        return self.secrets[-1]

    def revoke_tokens(self) -> None:
        """Refuse every token issued so far."""
        self._expiries.clear()

    def rotate_secret(self) -> str:
        """Replace the secret, revoke the tokens issued so far, and return the new secret."""
        self.secrets.append(_new_secret())
        self.revoke_tokens()
        return self.client_secret

    def rotate_credentials(self) -> tuple[str, str]:
        """Replace client id and secret, revoke the tokens issued so far, and return the new id and secret."""
        self.client_id = f"{CLIENT_ID}-{secrets.token_hex(4)}"
        return self.client_id, self.rotate_secret()

    def accepts(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header has a token that is valid now."""
        scheme, _, token = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and time.monotonic() < self._expiries.get(token, 0.0)

    async def handle(self, request: web.Request) -> web.Response:
        """``POST /oauth2/token``: the client-credentials grant, all four fields in the body."""
        form = await form_of(request)
        once = {name: values[0] for name, values in form.items() if len(values) == 1}
        if "Authorization" in request.headers or len(once) < len(form) or not all(map(once.get, _REQUIRED)):
            return error(400, "invalid_request")
        if once["grant_type"] != "client_credentials":
            return error(400, "unsupported_grant_type")
        sent, valid = f"{once['client_id']} {once['client_secret']}", f"{self.client_id} {self.client_secret}"
        if not secrets.compare_digest(sent.encode(), valid.encode()):
            return error(401, "invalid_client")
        if once["scope"] != SCOPE:
            return error(400, "invalid_scope")
        default = "" if "audience-required" in self._settings.departures else AUDIENCE
        if once.get("audience", default) != AUDIENCE:
            return error(400, "invalid_request")
        life = self._settings.token_seconds
        token = _new_token(self.client_id, life)
        self.tokens.append(token)
        self._expiries[token] = time.monotonic() + life
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": int(life)},
            headers={"Cache-Control": "no-store"},
        )


async def form_of(request: web.Request) -> Mapping[str, list[str]]:
    """Return the fields of a form-encoded body; none if it is not one."""
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    try:
        return parse_qs((await request.read()).decode(), keep_blank_values=True)
    except UnicodeDecodeError:
        return {}


def error(status: int, code: str) -> web.Response:
    """Return an error in the form of RFC 6749."""
    return web.json_response({"error": code}, status=status, headers={"Cache-Control": "no-store"})


def _new_secret() -> str:
    # With characters that differ once form-encoded: a search for leaks must look for both forms.
    return f"s3cret+/=&%~{secrets.token_urlsafe(24)}"


def _new_token(client_id: str, life: float) -> str:
    """Return a token of the shape of a JWT."""
    now = int(time.time())
    claims: dict[str, object] = {
        "sub": client_id,
        "client_id": client_id,
        "scope": SCOPE,
        "token_use": "access",
    }
    claims |= {"iat": now, "exp": now + int(life), "jti": str(uuid.uuid4())}
    header = {"alg": "RS256", "typ": "JWT"}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), secrets.token_bytes(64)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
