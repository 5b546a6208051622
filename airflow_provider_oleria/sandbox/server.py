"""The sandbox as a server in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import Future
from functools import partial
from typing import Any, Self

from aiohttp import web

from airflow_provider_oleria.sandbox import oauth
from airflow_provider_oleria.sandbox.app import make_app
from airflow_provider_oleria.sandbox.calls import Call, Fault
from airflow_provider_oleria.sandbox.downloads import Expected
from airflow_provider_oleria.sandbox.settings import Settings
from airflow_provider_oleria.sandbox.tenant import Tenant

_BACKLOG = 1024


class Sandbox:
    """A local Oleria, for as long as the ``with`` block lasts.

    ::

        with Sandbox(rows=1000) as sandbox:
            os.environ["AIRFLOW_CONN_OLERIA_DEFAULT"] = sandbox.connection_json()
            ...

    All methods may be called from any thread while it serves.

    :param host: the address to listen on.
    :param port: the port to listen on; 0 for any free one.
    :param client_secret: the client's secret; random if not given.
    :param settings: the fields of :class:`Settings`.
    """

    audience = oauth.AUDIENCE
    scope = oauth.SCOPE

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, client_secret: str | None = None, **settings: Any
    ) -> None:
        self.settings = Settings(**settings)
        self._tenant = Tenant(self.settings, client_secret)
        self._host = host
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen; returns once requests are served.

        :raises OSError: if the address is taken.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
        self._port = listener.getsockname()[1]
        ready: Future[None] = Future()
        serve = partial(self._run, listener, ready)
        self._thread = threading.Thread(target=serve, name="oleria-sandbox", daemon=True)
        self._thread.start()
        ready.result()
        return self

    def close(self) -> None:
        """Stop at once, whatever is in progress, and delete every file."""
        if self._loop and self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._tenant.closing.set)
            self._thread.join()
        self._tenant.downloads.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, listener: socket.socket, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(listener, ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, listener: socket.socket, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(make_app(self._tenant), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        ready.set_result(None)
        await self._tenant.closing.wait()
        await runner.cleanup()

    @property
    def api_url(self) -> str:
        """The API URL: the host of the Airflow Connection."""
        # Listening on every address, it is reached at the loopback one.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104  # compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def auth_url(self) -> str:
        """The Authentication URL."""
        return self.api_url + oauth.PATH

    @property
    def client_id(self) -> str:
        """The client id that is valid now."""
        return self._tenant.oauth.client_id

    @property
    def client_secret(self) -> str:
        """The client secret that is valid now."""
        return self._tenant.oauth.client_secret

    def connection_json(self) -> str:
        """An Airflow Connection to this sandbox, for ``AIRFLOW_CONN_OLERIA_DEFAULT``; it retries after milliseconds."""
        extra: dict[str, Any] = {"client_id": self.client_id, "client_secret": self.client_secret}
        extra |= {"auth_url": self.auth_url, "audience": self.audience, "retry_delay": 0.01}
        return json.dumps({"conn_type": "oleria", "host": self.api_url, "extra": extra})

    def fail(self, fault: Fault) -> None:
        """Order a fault."""
        self._tenant.ledger.order(fault)

    def clear_faults(self) -> None:
        """Withdraw every fault."""
        self._tenant.ledger.forget_faults()

    def revoke_tokens(self) -> None:
        """Refuse every token issued so far."""
        self._tenant.oauth.revoke_tokens()

    def rotate_secret(self) -> str:
        """Replace the client secret, revoke the tokens issued so far, and return the new secret."""
        return self._tenant.oauth.rotate_secret()

    def rotate_credentials(self) -> tuple[str, str]:
        """Replace client id and secret, as Oleria's rotation does, and revoke the tokens issued so far.

        Downloads belong to the tenant: the new credentials see those of the old ones.

        :return: the new client id and client secret.
        """
        return self._tenant.oauth.rotate_credentials()

    def replace_export(self, download_id: str) -> Expected:
        """Replace the object (other bytes, another ETag) behind a download's presigned URLs.

        :param download_id: the download id.
        :raises KeyError: if there is no such download.
        """
        return self._tenant.downloads.replace(download_id)

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order of arrival."""
        return self._tenant.ledger.calls

    def count(self, kind: str) -> int:
        """Return how many requests of a kind there were."""
        return sum(call.kind == kind for call in self.calls)

    def reset(self) -> None:
        """Forget requests and faults. Tokens and downloads are kept."""
        self._tenant.ledger.forget_calls()
        self._tenant.ledger.forget_faults()

    def expected(self, download_id: str) -> Expected:
        """Return what the client of a download should receive; waits until it is made.

        :param download_id: the download id.
        :raises KeyError: if there is no such download.
        """
        return self._tenant.downloads.expected(download_id)

    @property
    def tokens(self) -> list[str]:
        """Every token ever issued."""
        return list(self._tenant.oauth.tokens)

    @property
    def secrets(self) -> list[str]:
        """Every client secret that was ever valid."""
        return list(self._tenant.oauth.secrets)

    @property
    def signatures(self) -> list[str]:
        """The signature of every presigned URL ever issued."""
        return self._tenant.store.signatures
