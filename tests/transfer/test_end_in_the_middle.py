"""A transfer that is ended in its middle leaves nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_oleria.compat import ObjectStoragePath
from airflow_provider_oleria.connection.settings import RetryPolicy, Settings
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import (
    OleriaDestinationError,
)
from airflow_provider_oleria.transfer.pipeline import transfer
from tests.airflow_names import attach

from .store import PARTS, SLOW, Answer, Store, either_way


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], MemoryFileSystem]:
    """Have the store in memory end a transfer to it after some bytes."""
    attach("memory", fs=(store := MemoryFileSystem()))
    plain = MemoryFileSystem.open

    def with_(ends: BaseException) -> MemoryFileSystem:
        def opened(self: MemoryFileSystem, *args: Any, **kwargs: Any) -> Any:
            file = plain(self, *args, **kwargs)
            write = file.write

            def full(data: bytes) -> int:
                if file.tell() > 30_000:
                    raise ends
                return int(write(data))

            file.write = full
            return file

        monkeypatch.setattr(MemoryFileSystem, "open", opened)
        return store

    return with_


SETTINGS = Settings(
    "http://127.0.0.1",
    "https://auth.example",
    "id",
    "secret",
    timeout=60,
    retry=RetryPolicy(initial_backoff=0.01),
)


def assert_no_thread_is_left(before: list[threading.Thread]) -> None:
    """In half of the time that the store has for its silence."""
    deadline = time.monotonic() + 30
    while any(t.name.startswith("oleria-") for t in threading.enumerate() if t not in before):
        assert time.monotonic() < deadline, "a thread is left"
        time.sleep(0.01)


@either_way
@pytest.mark.parametrize("ends", [OSError(28, "No space left on device"), SystemExit("killed")])
def test_after_an_end_in_the_middle_neither_threads_nor_files_are_left(
    ending: Callable[[BaseException], MemoryFileSystem], options: SaveOptions, ends: BaseException
) -> None:
    """Although the store has fallen silent, which is given a minute."""
    before = threading.enumerate()
    store = ending(ends)
    released = threading.Event()

    def respond(number: int, answer: Answer) -> Answer:
        return replace(answer, at_most=20_000, then=lambda: released.wait(60)) if number > 2 else answer

    with Store(respond).serving() as url:
        with pytest.raises(type(ends) if isinstance(ends, SystemExit) else OleriaDestinationError):
            transfer(lambda: url, ObjectStoragePath("memory://lake/out.csv"), SETTINGS, options, SLOW)

        assert store.find("memory://") == []
        assert_no_thread_is_left(before)
        released.set()


@pytest.mark.parametrize("comes", ["after the end", "never"])
def test_no_thread_waits_for_a_response_of_a_transfer_that_has_ended(
    ending: Callable[[BaseException], MemoryFileSystem], comes: str
) -> None:
    before = threading.enumerate()
    ending(OSError(28, "No space left on device"))
    ended, released = threading.Event(), threading.Event()

    def respond(number: int, answer: Answer) -> Answer:
        if number > 2:
            (ended if comes == "after the end" else released).wait(60)
            return replace(answer, at_most=0, then=lambda: released.wait(60))
        return answer

    with Store(respond).serving() as url:
        with pytest.raises(OleriaDestinationError):
            transfer(lambda: url, ObjectStoragePath("memory://lake/out.csv"), SETTINGS, PARTS, SLOW)

        ended.set()
        assert_no_thread_is_left(before)
        released.set()
