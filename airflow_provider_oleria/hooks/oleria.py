"""The Connection's face: what a DAG author calls.

Whatever takes time to load is imported where it is used: DAG files import this module.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote_plus, urlsplit

from airflow_provider_oleria.compat import BaseHook, mask_secret, read_connection
from airflow_provider_oleria.connection.settings import DEFAULT_CONN_ID
from airflow_provider_oleria.downloads import Download, DownloadStatus, SavedDownload, SaveOptions
from airflow_provider_oleria.exceptions import OleriaDownloadNotReadyError, OleriaError
from airflow_provider_oleria.net.redaction import clear_frames
from airflow_provider_oleria.observability import lineage, metrics
from airflow_provider_oleria.observability.location import Location

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from requests_oauthlib import OAuth2Session

    from airflow_provider_oleria.api.async_client import AsyncClient
    from airflow_provider_oleria.api.client import Client
    from airflow_provider_oleria.api.protocol import Flow
    from airflow_provider_oleria.compat import ObjectStoragePath
    from airflow_provider_oleria.connection.settings import Settings

T = TypeVar("T")

_TEST_TIMEOUT: Final = 15.0
"""Longest silence, in seconds, that somebody who has pressed *Test* sits through."""


class OleriaHook(BaseHook):
    """Talks to the Oleria API with the credentials of an Airflow Connection. Usable from any ``@task``.

    One access token serves all hooks of a process. Errors are those of :mod:`airflow_provider_oleria.exceptions`.

    :param oleria_conn_id: the Connection: host is the API URL; extras ``client_id``, ``client_secret``, ``auth_url``,
        and optionally ``audience``, ``scope``, ``timeout`` (seconds) and ``verify``.
    """

    conn_name_attr = "oleria_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "oleria"
    hook_name = "Oleria"

    def __init__(self, oleria_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.oleria_conn_id = oleria_conn_id
        # Of the downloads started here: the API does not tell it again.
        self._data_contexts: dict[str, str] = {}

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """The extras as fields of the Connection's form, for Airflow before 3.2; later ones read the metadata."""
        from airflow_provider_oleria.connection.form import widgets

        return widgets()

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """The standard fields of the Connection's form, for Airflow before 3.2; later ones read the metadata."""
        from airflow_provider_oleria.connection.form import field_behaviour

        return field_behaviour()

    def get_conn(self) -> OAuth2Session:
        """An authorised ``OAuth2Session`` for anything else the API offers.

        Paths such as ``/v1/downloads`` are completed with the API URL. The session puts the process's current token
        on requests to the API, and on no others; it does not follow redirects.

        :raises OleriaConfigurationError: the Connection lacks a field, or one is malformed.
        """
        return self._client.session

    def test_connection(self) -> tuple[bool, str]:
        """Mint a token anew and make one read-only call with it, for Airflow's *Test* button.

        Nothing is tried twice: somebody waits for the answer.

        :return: whether it went well, and what was found.
        """
        from airflow_provider_oleria.api import protocol
        from airflow_provider_oleria.api.client import Client
        from airflow_provider_oleria.api.tokens import TokenCache

        try:
            settings = replace(self._settings, timeout=min(self._settings.timeout, _TEST_TIMEOUT))
            # Tokens of its own: what is in the form is to be tested, not what worked an hour ago.
            client = Client(settings, self._reread, mask_secret, self._count_rate_limit, TokenCache())
            client.run(protocol.probe())
        except OleriaError as problem:
            return False, str(problem)
        return True, "A token was issued, and the API accepts it."

    @property
    def account(self) -> tuple[str, str]:
        """Whose exports these are: API URL and client id.

        :raises OleriaConfigurationError: the Connection lacks a field, or one is malformed.
        """
        return self._settings.api_url, self._settings.client_id

    def context_uri(self, data_context: str) -> str:
        """A data context as the URI of an asset: ``oleria://<host of the API URL>/<data context>``.

        :param data_context: its API name, or a ``DataContext``.
        :raises OleriaConfigurationError: the Connection lacks a field, or one is malformed.
        """
        return lineage.context_uri(self._settings.api_url, data_context)

    def create_download(
        self,
        data_context: str,
        filter_by: Sequence[Mapping[str, Any]] | None = None,
        sort_by: Sequence[Mapping[str, Any]] | None = None,
    ) -> Download:
        """Start an export. A request whose answer is lost is not repeated: the API would start a second export.

        :param data_context: what to export, such as ``DataContext.ACCESS_INVENTORY_IDENTITIES``.
        :param filter_by: filters, combined with AND: built with ``Filter``, or the API's own dicts.
        :param sort_by: sort orders: built with ``Sort``, or the API's own dicts.
        :return: the download's id and status.
        :raises OleriaError: see :mod:`airflow_provider_oleria.exceptions`.
        """
        from airflow_provider_oleria.api import protocol

        with metrics.step(metrics.CREATE, self.oleria_conn_id, data_context=str(data_context)) as span:
            request = self._run(protocol.create(data_context, filter_by, sort_by, retry=self._settings.retry))
            span.set_attribute("oleria.download_id", request.download_id)
        self._data_contexts[request.download_id] = str(data_context)
        return request

    def get_download(self, download_id: str) -> Download:
        """Ask where an export stands, once.

        :param download_id: its id.
        :return: id, status, the vendor's error text, and, once completed, a fresh presigned URL (a credential,
            valid for 5 minutes).
        :raises OleriaError: see :mod:`airflow_provider_oleria.exceptions`.
        """
        from airflow_provider_oleria.api import protocol

        return self._masked(self._run(protocol.get(download_id, retry=self._settings.retry)))

    def wait_for_download(
        self,
        download_id: str,
        *,
        poll_interval: float = 5,
        max_poll_interval: float = 60,
        deadline: float | None = None,
        started_at: float | None = None,
    ) -> Download:
        """Ask until an export is completed.

        :param download_id: its id.
        :param poll_interval: shortest pause between two questions, in seconds.
        :param max_poll_interval: longest pause, in seconds.
        :param deadline: when to give up, in epoch seconds; ``None`` for never.
        :param started_at: when the export was started, in epoch seconds: pauses follow its age. ``None`` for now.
        :return: the completed export.
        :raises OleriaDownloadFailedError: with the vendor's code and message.
        :raises OleriaTimeoutError: the deadline passed.
        :raises OleriaError: see :mod:`airflow_provider_oleria.exceptions`.
        """
        from airflow_provider_oleria.api import protocol

        wait = protocol.wait(
            download_id,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
            deadline=deadline,
            started_at=started_at,
            retry=self._settings.retry,
        )
        with metrics.step(metrics.WAIT, self.oleria_conn_id, download_id=download_id):
            return self._masked(self._run(wait))

    def save_download(
        self,
        download_id: str,
        destination: str | ObjectStoragePath,
        options: SaveOptions = SaveOptions(),  # noqa: B008  # frozen
    ) -> SavedDownload:
        """Bring a completed export home. What stands at the destination is whole, or untouched.

        :param download_id: its id.
        :param destination: anything ``ObjectStoragePath`` takes.
        :param options: how to fetch it, and what it must be like.
        :return: path, size, row count and sha256 of what was saved.
        :raises OleriaInputError: the destination is not the path of a file, or cannot be written.
        :raises OleriaDownloadNotReadyError: the export is still being made.
        :raises OleriaDownloadFailedError: with the vendor's code and message.
        :raises OleriaCheckError: it is not what ``options`` ask for.
        :raises OleriaRetriesExhaustedError: the file did not arrive whole.
        """
        from airflow_provider_oleria.api.protocol import check_not_failed
        from airflow_provider_oleria.transfer.pipeline import transfer

        def fresh_url() -> str:
            request = self.get_download(download_id)
            check_not_failed(request)
            if request.url is None or request.status is not DownloadStatus.COMPLETED:
                raise OleriaDownloadNotReadyError(
                    f"download {download_id} is {request.status}: wait for it before saving it"
                )
            return request.url

        path = self.check_destination(destination, options)
        about = {"download_id": download_id, "destination": str(path)}
        started = time.monotonic()
        with metrics.step(metrics.SAVE, self.oleria_conn_id, **about) as span:
            done = transfer(fresh_url, path, self._settings, options)
            span.set_attributes({"oleria.rows": done.row_count, "oleria.bytes": done.size_bytes})
        metrics.count(metrics.SAVED_BYTES, done.size_bytes, oleria_conn_id=self.oleria_conn_id)
        metrics.count(metrics.SAVED_ROWS, done.row_count, oleria_conn_id=self.oleria_conn_id)
        data_context = self._data_contexts.get(download_id)
        lineage.collect(
            self,
            read=self.context_uri(data_context) if data_context else None,
            written=Location.of(str(path)).uri,
        )
        self.log.info(
            "Saved download %s to %s in %.1f s: %d rows, %d bytes, sha256 %s.",
            *(download_id, path, time.monotonic() - started),
            *(done.row_count, done.size_bytes, done.sha256),
        )
        return SavedDownload(
            download_id=download_id,
            data_context=data_context,
            status=str(DownloadStatus.COMPLETED),
            path=str(path),
            size_bytes=done.size_bytes,
            row_count=done.row_count,
            sha256=done.sha256,
            source_sha256=done.source_sha256,
            type_errors=done.type_errors,
            columns=done.columns,
        )

    def check_destination(
        self,
        destination: str | ObjectStoragePath,
        options: SaveOptions = SaveOptions(),  # noqa: B008  # frozen
    ) -> ObjectStoragePath:
        """Check what can be checked before an export is started: permissions, bucket, options.

        :param destination: anything ``ObjectStoragePath`` takes.
        :param options: what :meth:`save_download` will be given.
        :return: the destination as a path.
        :raises OleriaInputError: it is no file, cannot be written, or does not go with the options.
        """
        from airflow_provider_oleria.transfer.pipeline import prepared

        return prepared(destination, options)

    async def aget_download(self, download_id: str) -> Download:
        """As :meth:`get_download`, from an event loop."""
        async with await self._async_client() as client:
            from airflow_provider_oleria.api import protocol  # loaded with the client

            return await client.run(protocol.get(download_id, retry=client.settings.retry))

    async def await_download(
        self,
        download_id: str,
        *,
        poll_interval: float,
        max_poll_interval: float,
        deadline: float | None,
        started_at: float | None = None,
    ) -> Download:
        """As :meth:`wait_for_download`, from an event loop.

        All who wait in an event loop share connections, token and what the Airflow Connection says.
        """
        with metrics.step(metrics.WAIT, self.oleria_conn_id, download_id=download_id):
            async with await self._async_client() as client:
                from airflow_provider_oleria.api import protocol  # loaded with the client

                wait = protocol.wait(
                    download_id,
                    poll_interval=poll_interval,
                    max_poll_interval=max_poll_interval,
                    deadline=deadline,
                    started_at=started_at,
                    retry=client.settings.retry,
                )
                return await client.run(wait)

    def _run(self, flow: Flow[T]) -> T:
        return self._client.run(flow)

    def _count_rate_limit(self) -> None:
        metrics.count(metrics.RATE_LIMITED, oleria_conn_id=self.oleria_conn_id)

    @cached_property
    def _settings(self) -> Settings:
        return _guarded(self._read())

    @cached_property
    def _client(self) -> Client:
        from airflow_provider_oleria.api.client import Client

        return Client(self._settings, self._reread, _mask_and_count, self._count_rate_limit)

    def _reread(self) -> Settings:
        del self._settings
        return self._settings

    async def _async_client(self) -> AbstractAsyncContextManager[AsyncClient]:
        if not _async_client.cache_info().currsize:
            # The libraries below it take a while to load, which is no work for an event loop.
            await asyncio.to_thread(_async_client)
        return _async_client()(self.oleria_conn_id, self._aread, _mask_and_count, self._count_rate_limit)

    async def _aread(self) -> Settings:
        return await asyncio.to_thread(_guarded, self._checked(*await read_connection(self.oleria_conn_id)))

    @clear_frames
    def _read(self) -> Settings:
        connection = self.get_connection(self.oleria_conn_id)
        return self._checked(connection, connection.extra_dejson)

    @clear_frames
    def _checked(self, connection: Connection, extra: Mapping[str, Any]) -> Settings:
        from airflow_provider_oleria.connection.settings import read_settings

        return read_settings(
            self.oleria_conn_id,
            host=connection.host,
            port=connection.port,
            schema=connection.schema,
            login=connection.login,
            password=connection.password,
            extra=extra,
        )

    @staticmethod
    @clear_frames
    def _masked(request: Download) -> Download:
        if request.url:
            mask_secret(urlsplit(request.url).query)
        return request


@cache
def _async_client() -> Callable[..., AbstractAsyncContextManager[AsyncClient]]:
    from airflow_provider_oleria.api.async_client import async_client

    return async_client


@clear_frames
def _guarded(settings: Settings) -> Settings:
    """Have Airflow mask the secret in logs, form-encoded as well: that is how it is sent."""
    mask_secret(settings.client_secret)
    mask_secret(quote_plus(settings.client_secret))
    return settings


@clear_frames
def _mask_and_count(token: str) -> None:
    mask_secret(token)
    metrics.count(metrics.TOKEN_MINTED)
