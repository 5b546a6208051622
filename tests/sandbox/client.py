"""A bare client for the sandbox, so that its tests do not rely on the package's own."""

from __future__ import annotations

from typing import Any

import requests

from airflow_provider_oleria.sandbox import Sandbox


class Client:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.http = requests.Session()
        self._token: str | None = None

    def form(self, **changes: Any) -> dict[str, Any]:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
            "scope": self.sandbox.scope,
        }
        return form | changes

    def mint(self, **changes: Any) -> requests.Response:
        return self.http.post(self.sandbox.auth_url, data=self.form(**changes), timeout=5)

    @property
    def auth(self) -> dict[str, str]:
        self._token = self._token or self.mint().json()["access_token"]
        return {"Authorization": f"Bearer {self._token}"}

    def post(self, body: Any, **options: Any) -> requests.Response:
        options = {"headers": self.auth, "timeout": 5} | options
        return self.http.post(f"{self.sandbox.api_url}/v1/downloads", json=body, **options)

    def create(self, context: str = "identities", **params: Any) -> str:
        answer = self.post({"context": context, "params": params})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def get(self, download_id: str, **options: Any) -> requests.Response:
        options = {"headers": self.auth, "timeout": 5} | options
        return self.http.get(f"{self.sandbox.api_url}/v1/downloads/{download_id}", **options)

    def url(self, download_id: str) -> str:
        self.sandbox.expected(download_id)  # waits until it is made
        return self.get(download_id).json()["url"]

    def fetch(self, url: str, method: str = "GET", timeout: float = 5, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, url, headers=named, timeout=timeout)

    def export(self, context: str = "identities", **params: Any) -> bytes:
        return self.fetch(self.url(self.create(context, **params))).content
