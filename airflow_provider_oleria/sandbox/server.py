"""The sandbox as a server in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from aiohttp import web

from airflow_provider_oleria.sandbox import oauth
from airflow_provider_oleria.sandbox.app import make_app
from airflow_provider_oleria.sandbox.calls import Call, Fault
from airflow_provider_oleria.sandbox.exports import Expected
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

    :param rows: rows of a data context before any filter.
    :param seed: other rows for another seed.
    :param day: how many days the tenant has lived on; each changes something.
    :param export_seconds: how long an export stays ``accepted``.
    :param token_seconds: life of a token.
    :param url_seconds: life of a presigned URL.
    :param rate_limit: API calls the tenant may make per second; ``None`` for any number.
    :param content_encoding: ``gzip`` or ``deflate`` to store the CSV compressed.
    :param ranges: whether the store honours ``Range``.
    :param bytes_per_second: throttle of each connection to the store; ``None`` for none.
    :param departures: in which ways to depart from the contract.
    :param host: the address to listen on.
    :param port: the port to listen on; 0 for any free one.
    :param client_secret: the client's secret; one is made up unless given.
    """

    audience = oauth.AUDIENCE
    scope = oauth.SCOPE

    def __init__(
        self,
        rows: int = Settings.rows,
        seed: int = Settings.seed,
        export_seconds: float = Settings.export_seconds,
        token_seconds: float = Settings.token_seconds,
        url_seconds: float = Settings.url_seconds,
        rate_limit: int | None = Settings.rate_limit,
        content_encoding: str | None = Settings.content_encoding,
        *,
        ranges: bool = Settings.ranges,
        bytes_per_second: int | None = Settings.bytes_per_second,
        departures: Sequence[str] = Settings.departures,
        host: str = "127.0.0.1",
        port: int = 0,
        client_secret: str | None = None,
        day: int = Settings.day,
    ) -> None:
        self.settings = Settings(
            rows=rows,
            seed=seed,
            day=day,
            export_seconds=export_seconds,
            token_seconds=token_seconds,
            url_seconds=url_seconds,
            rate_limit=rate_limit,
            content_encoding=content_encoding,
            ranges=ranges,
            bytes_per_second=bytes_per_second,
            departures=departures,
        )
        self._tenant = Tenant(self.settings, client_secret)
        self._host = host
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # -- serving ------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen; returns once requests are answered.

        :raises OSError: if the address is taken.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
        self._port = listener.getsockname()[1]
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready), name="oleria-sandbox", daemon=True
        )
        self._thread.start()
        ready.result()
        return self

    def close(self) -> None:
        """Stop at once, whatever is going on, and delete every file."""
        if self._loop and self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._tenant.closing.set)
            self._thread.join()
        self._tenant.exports.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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

    # -- what a client has to know ------------------------------------------------------------------------------

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
        """An Airflow Connection to this sandbox, as ``AIRFLOW_CONN_OLERIA_DEFAULT`` takes it."""
        extra = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "auth_url": self.auth_url,
            "audience": self.audience,
        }
        return json.dumps({"conn_type": "oleria", "host": self.api_url, "extra": extra})

    # -- what goes wrong ----------------------------------------------------------------------------------------

    def fail(self, fault: Fault) -> None:
        """Order a fault."""
        self._tenant.ledger.order(fault)

    def clear_faults(self) -> None:
        """Take back every fault."""
        self._tenant.ledger.forget_faults()

    def revoke_tokens(self) -> None:
        """Refuse every token issued so far."""
        self._tenant.oauth.revoke_tokens()

    def rotate_secret(self) -> str:
        """Replace the client secret, and revoke the tokens minted so far; returns the new one."""
        return self._tenant.oauth.rotate_secret()

    def rotate_credentials(self) -> tuple[str, str]:
        """Replace client id and client secret, as Oleria's rotation does, and revoke the tokens minted so far.

        Downloads belong to the tenant: the new credentials see those of the old ones.

        :return: the new client id and client secret.
        """
        return self._tenant.oauth.rotate_credentials()

    def replace_export(self, download_id: str) -> Expected:
        """Put another object (other bytes, another ETag) behind an export's presigned URLs.

        :param download_id: the download id.
        :raises KeyError: for an id that was never given out.
        """
        return self._tenant.exports.replace(download_id)

    # -- what happened ------------------------------------------------------------------------------------------

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order of arrival."""
        return self._tenant.ledger.calls

    def count(self, kind: str) -> int:
        """How many calls of a kind there were."""
        return sum(call.kind == kind for call in self.calls)

    def reset(self) -> None:
        """Forget calls and faults. Tokens and downloads live on."""
        self._tenant.ledger.forget_calls()
        self._tenant.ledger.forget_faults()

    def expected(self, download_id: str) -> Expected:
        """What the client of an export should end up with; waits until the export is made.

        :param download_id: the download id.
        :raises KeyError: for an id that was never given out.
        """
        return self._tenant.exports.expected(download_id)

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
