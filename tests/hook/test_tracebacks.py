"""What an error tracker makes of an error: the variables of each frame it came through, and of its causes' frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_oleria.api.tokens import TOKENS
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.leaks import assert_no_secret

from .conftest import Ask

pytestmark = pytest.mark.usefixtures("short_pauses", "slow_lines")


def frames(problem: BaseException | None) -> Iterator[str]:
    """Each frame beyond the tests' own, with its variables."""
    while problem is not None:
        trace = problem.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if "/tests/" not in code.co_filename:
                yield f"{code.co_filename}:{trace.tb_lineno} {code.co_name} {trace.tb_frame.f_locals!r}"
            trace = trace.tb_next
        problem = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)


def said(fault: Fault) -> str:
    """What is wrong, in short."""
    ordered = {name: value for name, value in vars(fault).items() if value != getattr(Fault, name)}
    return ", ".join(f"{name} {value}" for name, value in ordered.items())


def assert_nothing_shown(problem: BaseException, sandbox: Sandbox) -> None:
    shown = list(frames(problem))
    assert shown
    assert_no_secret(sandbox, *shown)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("token", status=401, body='{"error": "invalid_client"}'),
        Fault("token", status=503, times=None),
        Fault("token", drop=True, times=None),
        Fault("token", fields={"scope": "another"}),
        Fault("token", fields={"expires_in": 0}),
        Fault("get", status=401, times=None),
        Fault("get", status=403),
        Fault("get", status=500, times=None),
        Fault("get", drop=True, times=None),
        Fault("get", fields={"id": None}),
        Fault("get", fields={"status": "sleeping"}),
    ],
    ids=said,
)
def test_an_error_of_the_api_shows_no_secret(
    ask: Ask, oleria_sandbox: Sandbox, download_id: str, fault: Fault
) -> None:
    TOKENS.clear()
    oleria_sandbox.fail(fault)

    with pytest.raises(OleriaError) as raised:
        ask(download_id)
    assert_nothing_shown(raised.value, oleria_sandbox)


def test_an_error_of_the_connection_shows_no_secret(
    ask: Ask, oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(oleria_sandbox.connection_json())
    del connection["extra"]["auth_url"]
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", json.dumps(connection))

    with pytest.raises(OleriaError, match="auth_url") as raised:
        ask("any")
    assert_nothing_shown(raised.value, oleria_sandbox)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("fetch", status=403, times=None),
        Fault("fetch", status=500, times=None),
        Fault("fetch", drop=True, times=None),
        Fault("fetch", status=412, times=None, nth=2),
    ],
    ids=said,
)
def test_an_error_of_the_transfer_shows_no_secret(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path, fault: Fault
) -> None:
    oleria_sandbox.fail(fault)

    with pytest.raises(OleriaError) as raised:
        OleriaHook().save_download(
            download_id, (tmp_path / "out.csv").as_uri(), SaveOptions(max_concurrency=2, part_size=20_000)
        )
    assert_nothing_shown(raised.value, oleria_sandbox)
