"""The Connection's form, as each Airflow shows it and stores what is put in.

In a real browser, on the newest Airflow: system/connection_form.py.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.connection import form as connection_form
from airflow_provider_oleria.hooks.oleria import OleriaHook
from tests.airflow_names import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS

LABELS = {"host": "API URL", "login": "Client ID", "password": "Client secret"}

WEBSERVER = not AIRFLOW_V_3_0_PLUS
API_SERVER = AIRFLOW_V_3_1_PLUS or (AIRFLOW_V_3_0_PLUS and find_spec("flask_appbuilder") is not None)
"""Airflow 3.0 shows no provider's fields unless the FAB provider is there, as it is in Airflow's own image."""


@pytest.mark.skipif(
    not API_SERVER, reason="Airflow 2.11 has a webserver; 3.0 alone shows no provider's fields"
)
def test_the_api_server_gives_its_form_what_to_show() -> None:
    form = hook_meta()

    shown = {
        name: field["title"] for name, field in form["standard_fields"].items() if field and field["title"]
    }
    hidden = [name for name, field in form["standard_fields"].items() if field and field["hidden"]]
    assert shown == LABELS
    assert sorted(hidden) == ["port", "url_schema"]
    extras = form["extra_fields"]
    assert {name: (field["schema"]["title"], field["description"]) for name, field in extras.items()} == {
        name: (extra.label, extra.help) for name, extra in connection_form.EXTRAS.items()
    }
    assert "integer" in extras["timeout"]["schema"]["type"]
    assert all(field["value"] is None for field in extras.values())


def hook_meta() -> dict[str, Any]:
    """What the form asks the API server for. In a process of its own: Airflow replaces modules to answer it."""
    code = """
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
for form in HookMetaService.hook_meta_data():
    if form.connection_type == "oleria":
        print("FORM", form.model_dump_json())
"""
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return json.loads(next(line for line in answer.splitlines() if line.startswith("FORM"))[5:])


@pytest.mark.skipif(not WEBSERVER, reason="Airflow 3 has an API server")
def test_the_webserver_shows_the_form_and_stores_what_is_put_in(
    airflow_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.www.app import create_app

    app = create_app(testing=True)
    app.config |= {"WTF_CSRF_ENABLED": False, "AUTH_ROLE_PUBLIC": "Admin"}
    extras = {f"extra__oleria__{name}": "" for name in connection_form.EXTRAS}
    with app.test_client() as browser:
        form = html.unescape(browser.get("/connection/add").text)
        for name, extra in connection_form.EXTRAS.items():
            assert re.search(rf'<label for="extra__oleria__{name}"[^>]*>\s*{extra.label}\s', form)
            assert extra.help in form
        for name, label in LABELS.items():
            assert f'"{name}": "{label}"' in form
        filled = {
            "conn_id": "from_the_form",
            "conn_type": "oleria",
            "host": "http://127.0.0.1:8089",
            "login": "the-id",
            "password": "the-secret",
            "extra": '{"note": "of our own"}',
            **extras,
            "extra__oleria__auth_url": "http://127.0.0.1:8089/oauth2/token",
        }
        assert "Added Row" in browser.post("/connection/add", data=filled, follow_redirects=True).text

    stored = OleriaHook.get_connection("from_the_form")
    assert stored.extra_dejson == {
        "note": "of our own",
        "auth_url": "http://127.0.0.1:8089/oauth2/token",
        "timeout": None,
        "retry_attempts": None,
        "retry_delay": None,
        "retry_max_wait": None,
    }
    settings = OleriaHook("from_the_form")._settings
    assert (settings.api_url, settings.client_id) == ("http://127.0.0.1:8089", "the-id")
