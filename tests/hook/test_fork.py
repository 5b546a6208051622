"""A fork of a process whose other threads request a token and hold a gate: the child has neither."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from airflow_provider_oleria.api.rate_limit import gate
from airflow_provider_oleria.api.tokens import TOKENS
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.exceptions import OleriaError

from .raw_server import http, raw_server

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def holds_in_child(check: Callable[[], bool]) -> bool:
    if not (child := os.fork()):
        code = 1
        try:
            signal.alarm(60)  # ends a child that hangs
            code = 0 if check() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_child_gets_a_token_and_passes_the_gate_whatever_the_other_threads_held() -> None:
    requested, held, done = threading.Event(), threading.Event(), threading.Event()

    def reply(_: str) -> bytes | None:
        if not requested.is_set():
            requested.set()
            return None  # the request of the parent hangs
        return http({"access_token": "of-the-child"})

    with raw_server(reply) as url:
        settings = Settings(url, f"{url}/oauth2/token", "id", "secret")

        def hold() -> None:
            with gate(url)._lock:
                held.set()
                done.wait()

        def request() -> None:
            with suppress(OleriaError):
                TOKENS.get(settings, lambda _: None)

        threads = [threading.Thread(target=target, daemon=True) for target in (hold, request)]
        for thread in threads:
            thread.start()
        held.wait()
        requested.wait()
        held_in_child = holds_in_child(
            lambda: gate(url).wait() == 0 and TOKENS.get(settings, lambda _: None).value == "of-the-child"
        )
        done.set()

    for thread in threads:
        thread.join()
    assert held_in_child


def test_a_child_keeps_to_a_gate_that_is_closed() -> None:
    gate("https://api.example/fork").close(3600)
    assert holds_in_child(lambda: gate("https://api.example/fork").is_closed)
