"""The state of one sandbox."""

from __future__ import annotations

import asyncio

from airflow_provider_oleria.sandbox.calls import Ledger
from airflow_provider_oleria.sandbox.downloads import Downloads
from airflow_provider_oleria.sandbox.oauth import OAuthServer
from airflow_provider_oleria.sandbox.settings import Settings
from airflow_provider_oleria.sandbox.store import Store


class Tenant:
    """The state that the endpoints read and change."""

    def __init__(self, settings: Settings, client_secret: str | None = None) -> None:
        self.settings = settings
        self.ledger = Ledger()
        self.oauth = OAuthServer(settings, client_secret)
        self.downloads = Downloads(settings)
        self.store = Store(settings, self.downloads)
        self.closing = asyncio.Event()
