"""What an error tracker shows of an error: the variables of each frame, also of chained errors."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from airflow_provider_oleria.api.tokens import TOKENS
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger
from tests.leaks import assert_no_secret

from .conftest import Ask
from .saving import save


def frames(problem: BaseException | None) -> Iterator[str]:
    """The error's text, and each frame outside the tests with its variables; the same of chained errors."""
    while problem is not None:
        yield repr(problem)
        trace = problem.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if "/tests/" not in code.co_filename:
                yield f"{code.co_filename}:{trace.tb_lineno} {code.co_name} {trace.tb_frame.f_locals!r}"
            trace = trace.tb_next
        problem = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)


def said(fault: Fault) -> str:
    """The fault, for the name of a test."""
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
        Fault("get", fields={"url": None}),
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
    if fault.nth > 1:
        oleria_sandbox.fail(Fault("fetch", cut=20_000))
    oleria_sandbox.fail(fault)

    with pytest.raises(OleriaError) as raised:
        OleriaHook().save_download(download_id, (tmp_path / "out.csv").as_uri())
    assert_nothing_shown(raised.value, oleria_sandbox)


class Interrupted(BaseException):
    """Raised by a signal handler, as Airflow's ``execution_timeout`` and SIGTERM do."""


@pytest.fixture
def interrupt(oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Raises :class:`Interrupted` in the main thread once the sandbox has received a call of that kind."""
    threads: list[threading.Thread] = []
    given_up = threading.Event()

    def raise_interrupted(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    def when_received(kind: str) -> None:
        def watch() -> None:
            while not oleria_sandbox.count(kind) and not given_up.wait(0.01):
                pass
            if not given_up.is_set():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        oleria_sandbox.fail(Fault(kind, hang=60, times=None))
        threads.append(threading.Thread(target=watch))
        threads[-1].start()

    before = signal.signal(signal.SIGUSR1, raise_interrupted)
    yield when_received
    given_up.set()
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("kind", ["token", "get", "create", "fetch"])
def test_an_interrupted_call_shows_no_secret(
    oleria_sandbox: Sandbox,
    download_id: str,
    tmp_path: Path,
    interrupt: Callable[[str], None],
    kind: str,
) -> None:
    if kind == "token":
        TOKENS.clear()
    interrupt(kind)

    with pytest.raises(Interrupted) as raised:
        if kind == "create":
            OleriaHook().create_download("identities")
        elif kind == "fetch":
            OleriaHook().save_download(download_id, (tmp_path / "out.csv").as_uri())
        else:
            OleriaHook().get_download(download_id)
    assert_nothing_shown(raised.value, oleria_sandbox)
    assert any("requests" in frame for frame in frames(raised.value)), "the frames themselves are kept"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["token", "get", "create"])
def test_a_cancelled_call_shows_no_secret(oleria_sandbox: Sandbox, download_id: str, kind: str) -> None:
    """Airflow cancels the trigger of a deferral that has timed out."""

    async def main() -> None:
        if kind == "create":
            call: asyncio.Task[object] = asyncio.create_task(OleriaHook().acreate_download("identities"))
        else:
            wait = OleriaDownloadTrigger(download_id, poll_interval=0.01).run()
            call = asyncio.create_task(anext(wait))
        while not oleria_sandbox.count(kind):  # noqa: ASYNC110  # the sandbox has its own thread
            await asyncio.sleep(0.01)
        call.cancel()
        await call

    oleria_sandbox.reset()
    if kind == "token":
        TOKENS.clear()
    oleria_sandbox.fail(Fault(kind, hang=60, times=None))
    with pytest.raises(asyncio.CancelledError) as raised:
        asyncio.run(main())
    assert any("async_client.py" in frame for frame in frames(raised.value)), "the frames themselves are kept"
    assert_nothing_shown(raised.value, oleria_sandbox)


def test_an_interrupted_transfer_in_parts_shows_no_secret(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path, interrupt: Callable[[str], None]
) -> None:
    oleria_sandbox.reset()
    interrupt("fetch")

    with pytest.raises(Interrupted) as raised:
        save(large_download, tmp_path / "out.csv", SaveOptions(max_concurrency=2, part_size=20_000))
    assert_nothing_shown(raised.value, oleria_sandbox)


@pytest.mark.parametrize("what", ["the client secret", "a token", "a presigned URL"])
def test_an_interrupted_mask_shows_no_secret(
    oleria_sandbox: Sandbox, download_id: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Airflow masks a secret by a call to another process, in which a signal can arrive."""

    def mask(secret: str) -> None:
        is_token, is_url = secret in oleria_sandbox.tokens, "X-Amz" in secret
        kind = "a token" if is_token else "a presigned URL" if is_url else "the client secret"
        if kind == what:
            raise Interrupted

    TOKENS.clear()
    monkeypatch.setattr("airflow_provider_oleria.hooks.oleria.mask_secret", mask)
    with pytest.raises(Interrupted) as raised:
        OleriaHook().get_download(download_id)
    assert_nothing_shown(raised.value, oleria_sandbox)
