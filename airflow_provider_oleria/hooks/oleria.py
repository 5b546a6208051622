"""The Oleria API for DAG authors.

DAG files import this module, so what only a run needs is imported where it is used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import copy_context
from dataclasses import replace
from datetime import timedelta
from functools import cache, cached_property, partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote_plus, urlsplit

from airflow_provider_oleria.arguments import seconds
from airflow_provider_oleria.compat import (
    AirflowNotFoundException,
    BaseHook,
    mask_secret,
    read_connection,
)
from airflow_provider_oleria.connection.settings import DEFAULT_CONN_ID
from airflow_provider_oleria.downloads import Download, DownloadStatus, SavedDownload, SaveOptions
from airflow_provider_oleria.exceptions import (
    OleriaConfigurationError,
    OleriaDownloadNotReadyError,
    OleriaError,
)
from airflow_provider_oleria.net.redaction import clear_frames, remember_login
from airflow_provider_oleria.observability import lineage, metrics
from airflow_provider_oleria.observability.location import Location

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from opentelemetry.trace import Span
    from requests_oauthlib import OAuth2Session

    from airflow_provider_oleria.api.async_client import AsyncClient
    from airflow_provider_oleria.api.client import Client
    from airflow_provider_oleria.compat import ObjectStoragePath
    from airflow_provider_oleria.connection.settings import Settings

T = TypeVar("T")

_TEST_TIMEOUT: Final = 15.0
"""Read timeout of *Test connection*, in seconds."""

_MAX_MASKED: Final = 50
"""Tokens and presigned URLs of a process that Airflow masks, too.

Airflow (3.3.2) keeps each one until the process ends, and compiles all of them again with each: the 400th token takes
1 s, in which no other thread runs, and 0.7 GiB. A triggerer mints tokens for weeks.
"""

_MASKED: Final = count()


class OleriaHook(BaseHook):
    """Calls the Oleria API with the credentials of an Airflow Connection, in any ``@task``.

    All hooks of a process share one access token. The methods raise the errors of
    :mod:`airflow_provider_oleria.exceptions`. In an ``async`` task use the methods whose names begin with ``a``.

    :param oleria_conn_id: the Connection: its host is the API URL; its extras are ``client_id``, ``client_secret``,
        ``auth_url``, and optionally ``audience``, ``scope``, ``timeout`` (seconds) and ``verify``.
    """

    conn_name_attr = "oleria_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "oleria"
    hook_name = "Oleria"

    def __init__(self, oleria_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.oleria_conn_id = oleria_conn_id
        self._connection_name = f"Connection {oleria_conn_id!r}"
        # Of the downloads started with this hook: the API does not report it later.
        self._data_contexts: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the Connection as it was read: a copy reads it again."""
        return {name: value for name, value in vars(self).items() if name not in ("_settings", "_client")}

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """The form's fields for the extras. Airflow 3.2 and newer reads the metadata instead."""
        from airflow_provider_oleria.connection.form import widgets

        return widgets()

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """The form's standard fields. Airflow 3.2 and newer reads the metadata instead."""
        from airflow_provider_oleria.connection.form import field_behaviour

        return field_behaviour()

    def get_conn(self) -> OAuth2Session:
        """An authorised ``OAuth2Session`` for the rest of the API.

        Paths such as ``/v1/downloads`` are completed with the API URL. The session adds the process's current token to
        requests to the API, and to no others. It does not follow redirects.

        :raises OleriaConfigurationError: a field of the Connection is missing or malformed.
        """
        return self._client.session

    def test_connection(self) -> tuple[bool, str]:
        """Mint a new token and make one read-only call with it, for Airflow's *Test* button.

        Nothing is retried, because the user waits for the result.

        :return: whether it succeeded, and a message.
        """
        from airflow_provider_oleria.api import protocol
        from airflow_provider_oleria.api.client import Client
        from airflow_provider_oleria.api.tokens import TokenCache

        # The form is tested under a random id.
        self._connection_name = "The Connection"
        try:
            settings = replace(self._settings, timeout=min(self._settings.timeout, _TEST_TIMEOUT))
            # Not the process's tokens: the test is of the form's values, not of those that worked an hour ago.
            client = Client(settings, self._reload, _mask, self._count_rate_limit, TokenCache())
            client.run(protocol.probe())
        except OleriaError as problem:
            return False, str(problem)
        return True, "A token was issued, and the API accepts it."

    def create_download(
        self,
        data_context: str,
        filter_by: Sequence[Mapping[str, Any]] | None = None,
        sort_by: Sequence[Mapping[str, Any]] | None = None,
    ) -> Download:
        """Start a download. If the response is lost, the request is not repeated: the API would start a second one.

        :param data_context: what to export, such as ``DataContext.ACCESS_INVENTORY_IDENTITIES``.
        :param filter_by: filters, combined with AND: built with ``Filter``, or the API's own dicts.
        :param sort_by: sort orders: built with ``Sort``, or the API's own dicts.
        :return: id and status.
        :raises OleriaError: the download was not started, or that is unknown.
        """
        from airflow_provider_oleria.api import protocol

        with metrics.step(metrics.CREATE, self.oleria_conn_id, data_context=str(data_context)) as span:
            download = self._client.run(
                protocol.create(data_context, filter_by, sort_by, retry=self._settings.retry)
            )
            return self._created(download, data_context, span)

    async def acreate_download(
        self,
        data_context: str,
        filter_by: Sequence[Mapping[str, Any]] | None = None,
        sort_by: Sequence[Mapping[str, Any]] | None = None,
    ) -> Download:
        """:meth:`create_download` for an event loop."""
        with metrics.step(metrics.CREATE, self.oleria_conn_id, data_context=str(data_context)) as span:
            async with await self._async_client() as client:
                from airflow_provider_oleria.api import protocol  # loaded with the client

                download = await client.run(
                    protocol.create(data_context, filter_by, sort_by, retry=client.settings.retry)
                )
            return self._created(download, data_context, span)

    def get_download(self, download_id: str) -> Download:
        """Request a download once.

        :param download_id: its id.
        :return: id, status, the vendor's error text, and, if it is completed, a new presigned URL (a credential, valid
            for 5 minutes).
        :raises OleriaError: the API refused the request, or could not be reached.
        """
        from airflow_provider_oleria.api import protocol

        return self._masked(self._client.run(protocol.get(download_id, retry=self._settings.retry)))

    async def aget_download(self, download_id: str) -> Download:
        """:meth:`get_download` for an event loop."""
        async with await self._async_client() as client:
            from airflow_provider_oleria.api import protocol  # loaded with the client

            download = await client.run(protocol.get(download_id, retry=client.settings.retry))
        return await _in_own_thread(self._masked, download)

    def wait_for_download(
        self,
        download_id: str,
        *,
        poll_interval: float | timedelta = 5,
        max_poll_interval: float | timedelta = 60,
        timeout: float | timedelta = 3600,
    ) -> Download:
        """Poll until a download is completed.

        :param download_id: its id.
        :param poll_interval: shortest pause between two polls, in seconds.
        :param max_poll_interval: longest pause, in seconds.
        :param timeout: longest wait, in seconds.
        :return: the completed download.
        :raises OleriaDownloadFailedError: with the vendor's code and message.
        :raises OleriaTimeoutError: it was not completed in time.
        :raises OleriaError: the API refused the request, or could not be reached.
        """
        now = time.time()
        return self._wait(
            download_id, poll_interval, max_poll_interval, now + seconds("timeout", timeout), now
        )

    async def await_for_download(
        self,
        download_id: str,
        *,
        poll_interval: float | timedelta = 5,
        max_poll_interval: float | timedelta = 60,
        timeout: float | timedelta = 3600,  # noqa: ASYNC109  # as in the synchronous method
    ) -> Download:
        """:meth:`wait_for_download` for an event loop."""
        now = time.time()
        deadline = now + seconds("timeout", timeout)
        download = await self._await(download_id, poll_interval, max_poll_interval, deadline, now)
        return await _in_own_thread(self._masked, download)

    def save_download(
        self,
        download_id: str,
        destination: str | ObjectStoragePath,
        options: SaveOptions = SaveOptions(),  # noqa: B008  # frozen
    ) -> SavedDownload:
        """Save a completed download. The destination is replaced atomically, or left unchanged.

        :param download_id: its id.
        :param destination: anything ``ObjectStoragePath`` takes.
        :param options: how to save it, and which checks the file must pass.
        :return: path, size, row count and SHA-256 of the file.
        :raises OleriaInputError: the destination is not the path of a file, or cannot be written.
        :raises OleriaDownloadNotReadyError: the download is not completed.
        :raises OleriaError: it could not be saved.
        """
        from airflow_provider_oleria.transfer.pipeline import prepared, transfer

        path = prepared(destination, options)
        uri = Location.of(str(path)).uri
        about = {"download_id": download_id, "destination": uri}
        started = time.monotonic()
        with metrics.step(metrics.SAVE, self.oleria_conn_id, **about) as span:
            file = transfer(partial(self._fresh_url, download_id), path, self._settings, options)
            span.set_attributes({"oleria.rows": file.row_count, "oleria.bytes": file.size_bytes})
        metrics.count(metrics.SAVED_BYTES, file.size_bytes, oleria_conn_id=self.oleria_conn_id)
        metrics.count(metrics.SAVED_ROWS, file.row_count, oleria_conn_id=self.oleria_conn_id)
        data_context = self._data_contexts.get(download_id)
        lineage.collect(
            self,
            read=self._context_uri(data_context) if data_context else None,
            written=uri,
        )
        self.log.info(
            "Saved download %s to %s in %.1f s: %d rows, %d bytes, sha256 %s.",
            download_id,
            uri,
            time.monotonic() - started,
            file.row_count,
            file.size_bytes,
            file.sha256,
        )
        return SavedDownload(
            download_id=download_id,
            data_context=data_context,
            status=str(DownloadStatus.COMPLETED),
            path=str(path),
            uri=uri,
            size_bytes=file.size_bytes,
            row_count=file.row_count,
            sha256=file.sha256,
            source_sha256=file.source_sha256,
            type_errors=file.type_errors,
            columns=file.columns,
        )

    async def asave_download(
        self,
        download_id: str,
        destination: str | ObjectStoragePath,
        options: SaveOptions = SaveOptions(),  # noqa: B008  # frozen
    ) -> SavedDownload:
        """:meth:`save_download` for an event loop. It runs in a thread, which a cancellation does not stop."""
        return await _in_own_thread(self.save_download, download_id, destination, options)

    def _fresh_url(self, download_id: str) -> str:
        from airflow_provider_oleria.api import protocol

        download = self.get_download(download_id)
        protocol.check_not_failed(download)
        if download.url is None or download.status is not DownloadStatus.COMPLETED:
            raise OleriaDownloadNotReadyError(
                f"download {download_id} is {download.status}: wait for it before saving it"
            )
        return download.url

    def _context_uri(self, data_context: str) -> str:
        return lineage.context_uri(self._settings.api_url, data_context)

    def _created(self, download: Download, data_context: str, span: Span) -> Download:
        span.set_attribute("oleria.download_id", download.download_id)
        self._data_contexts[download.download_id] = str(data_context)
        return download

    def _wait(
        self,
        download_id: str,
        poll_interval: float | timedelta,
        max_poll_interval: float | timedelta,
        deadline: float | None,
        started_at: float | None,
    ) -> Download:
        """Poll until a download is completed.

        :param deadline: when to give up, in epoch seconds; ``None`` for never.
        :param started_at: when the download was created, in epoch seconds: the pauses follow its age; ``None`` for now.
        """
        from airflow_provider_oleria.api import protocol

        wait = protocol.wait(
            download_id,
            poll_interval=seconds("poll_interval", poll_interval),
            max_poll_interval=seconds("max_poll_interval", max_poll_interval),
            deadline=deadline,
            started_at=started_at,
            retry=self._settings.retry,
        )
        with metrics.step(metrics.WAIT, self.oleria_conn_id, download_id=download_id):
            return self._masked(self._client.run(wait))

    async def _await(
        self,
        download_id: str,
        poll_interval: float | timedelta,
        max_poll_interval: float | timedelta,
        deadline: float | None,
        started_at: float | None,
    ) -> Download:
        """:meth:`_wait` for an event loop, whose waits share connections, tokens and Airflow Connections."""
        with metrics.step(metrics.WAIT, self.oleria_conn_id, download_id=download_id):
            async with await self._async_client() as client:
                from airflow_provider_oleria.api import protocol  # loaded with the client

                wait = protocol.wait(
                    download_id,
                    poll_interval=seconds("poll_interval", poll_interval),
                    max_poll_interval=seconds("max_poll_interval", max_poll_interval),
                    deadline=deadline,
                    started_at=started_at,
                    retry=client.settings.retry,
                )
                return await client.run(wait)

    def _count_rate_limit(self) -> None:
        metrics.count(metrics.RATE_LIMITED, oleria_conn_id=self.oleria_conn_id)

    @cached_property
    def _settings(self) -> Settings:
        return _with_masked_secret(self._read())

    @cached_property
    def _client(self) -> Client:
        from airflow_provider_oleria.api.client import Client

        return Client(self._settings, self._reload, _mask_and_count, self._count_rate_limit)

    def _reload(self) -> Settings:
        del self._settings
        return self._settings

    async def _async_client(self) -> AbstractAsyncContextManager[AsyncClient]:
        if not _async_client.cache_info().currsize:
            # Its libraries take a while to load, which would block the event loop.
            await asyncio.to_thread(_async_client)
        return _async_client()(self.oleria_conn_id, self._aread, _mask_and_count, self._count_rate_limit)

    @clear_frames
    async def _aread(self) -> Settings:
        with self._connection_must_exist():
            connection, extra = await read_connection(self.oleria_conn_id)
        return await _in_own_thread(_with_masked_secret, self._checked(connection, extra))

    @clear_frames
    def _read(self) -> Settings:
        with self._connection_must_exist():
            connection = self.get_connection(self.oleria_conn_id)
        return self._checked(connection, connection.extra_dejson)

    @contextmanager
    def _connection_must_exist(self) -> Iterator[None]:
        try:
            yield
        except AirflowNotFoundException as problem:
            raise OleriaConfigurationError(
                f"{self._connection_name} does not exist: {problem}. Create it, or correct oleria_conn_id. "
                "A Connection in an environment variable must be set for the workers and for the triggerer"
            ) from None

    @clear_frames
    def _checked(self, connection: Connection, extra: Mapping[str, Any]) -> Settings:
        from airflow_provider_oleria.connection.settings import read_settings

        return read_settings(
            self._connection_name,
            host=connection.host,
            port=connection.port,
            schema=connection.schema,
            login=connection.login,
            password=connection.password,
            extra=extra,
        )

    @staticmethod
    @clear_frames
    def _masked(download: Download) -> Download:
        if download.url:
            _mask(urlsplit(download.url).query)
        return download


async def _in_own_thread(function: Callable[..., T], *args: Any) -> T:
    """:func:`asyncio.to_thread` for a function that may call Airflow.

    Such a call may have to wait for one of another coroutine, which needs a thread of the event loop's own: if calls
    held all of those, each would wait for the other (Airflow 3.3.2).
    """
    executor = ThreadPoolExecutor(1)
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, copy_context().run, function, *args)
    finally:
        executor.shutdown(wait=False)


@cache
def _async_client() -> Callable[..., AbstractAsyncContextManager[AsyncClient]]:
    from airflow_provider_oleria.api.async_client import async_client

    return async_client


@clear_frames
def _with_masked_secret(settings: Settings) -> Settings:
    """Keep the client secret out of all texts; Airflow masks it in logs, also form-encoded, as it is sent."""
    remember_login(settings.client_id, settings.client_secret)
    mask_secret(settings.client_secret)
    mask_secret(quote_plus(settings.client_secret))
    return settings


@clear_frames
def _mask_and_count(token: str) -> None:
    _mask(token)
    metrics.count(metrics.TOKEN_MINTED)


@clear_frames
def _mask(credential: str) -> None:
    """Have Airflow mask a token or a presigned URL in what other code of this process logs.

    The package's own texts and its libraries' logs show none in any case.
    """
    if next(_MASKED) < _MAX_MASKED:
        mask_secret(credential)
