"""A wait for a download: its pace, its deadline, and what interrupts it."""

from __future__ import annotations

import time
import weakref
from typing import Any

import pytest

from airflow_provider_oleria.api import protocol
from airflow_provider_oleria.api.protocol import (
    FlowRun,
    Request,
    Sleep,
)
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaDownloadFailedError,
    OleriaTimeoutError,
    OleriaUnavailableError,
)

from .flows import ACCEPTED, COMPLETED, Script, answer


class Clock:
    """Time that passes only where the flow sleeps."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def __call__(self) -> float:
        return sum(self.script.pauses)


EPOCH = 1_779_000_000.0


def wait(script: Script, **limits: Any) -> Any:
    limits = {"poll_interval": 5, "max_poll_interval": 60, "deadline": None, **limits}
    clock = Clock(script)
    return script.run(protocol.wait("id-1", clock=clock, wall_clock=lambda: EPOCH + clock(), **limits))


def test_wait_backs_off_from_poll_interval_to_max_poll_interval() -> None:
    script = Script(*[answer(200, ACCEPTED)] * 60, answer(200, COMPLETED))

    assert wait(script).url == COMPLETED["url"]
    assert script.pauses[0] <= 5
    assert 3.75 <= script.pauses[1] <= 5
    assert 45 <= script.pauses[-1] <= 60
    elapsed = 0.0
    for pause in script.pauses:
        assert pause <= max(5, elapsed / 10)
        elapsed += pause


def test_wait_asks_a_last_time_at_the_deadline_and_names_id_and_status() -> None:
    script = Script(*[answer(200, ACCEPTED)] * 10)
    with pytest.raises(OleriaTimeoutError, match=r"id-1 .*waited 12 s, last status: accepted\). It is still"):
        wait(script, deadline=EPOCH + 12.0)

    assert sum(script.pauses) == pytest.approx(12.0)


def test_a_failed_export_shows_the_vendors_code_and_message() -> None:
    failed = {"id": "id-1", "status": "failed", "error": {"code": "E42", "message": "too wide"}}
    with pytest.raises(OleriaDownloadFailedError, match="id-1: E42: too wide"):
        wait(Script(answer(200, ACCEPTED), answer(200, failed)))


def test_an_outage_that_outlasts_the_deadline_is_a_timeout_that_names_both() -> None:
    script = Script(answer(200, ACCEPTED), *[answer(503)] * 10)
    with pytest.raises(OleriaTimeoutError, match="last status: accepted.*503"):
        wait(script, deadline=EPOCH + 15)


@pytest.mark.parametrize("deadline", [None, EPOCH + 3600], ids=["no deadline", "an hour"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_has_the_time_waits_for_retry_after(status: int, deadline: float | None) -> None:
    script = Script(answer(status, **{"Retry-After": "900"}), answer(200, COMPLETED))

    assert wait(script, deadline=deadline).url == COMPLETED["url"]
    assert 900 <= sum(script.pauses) <= 995
    assert script.sent == 2


@pytest.mark.parametrize("status", [200, 429, 503])
def test_a_wait_keeps_no_response_while_it_sleeps(status: int) -> None:
    run = FlowRun(
        protocol.wait("id-1", poll_interval=60, max_poll_interval=60, deadline=None, started_at=time.time())
    )
    while not isinstance(run.step, Request):
        run.advance(0.0)
    response = answer(status, ACCEPTED)
    kept = weakref.ref(response)
    run.advance(response)
    del response
    while not isinstance(run.step, Sleep):
        run.advance(1.0)

    assert kept() is None


@pytest.mark.parametrize("failure", [answer(503), OleriaUnavailableError("the token endpoint"), answer(429)])
def test_a_wait_outlasts_an_outage_of_ten_minutes(failure: Any) -> None:
    script = Script(*[failure] * 20, answer(200, COMPLETED))

    assert wait(script, deadline=EPOCH + 3600).url == COMPLETED["url"]
    assert script.sent == 21


def test_a_wait_without_the_time_for_retry_after_is_a_timeout_at_once() -> None:
    script = Script(answer(429, **{"Retry-After": "900"}))
    with pytest.raises(OleriaTimeoutError, match="rate limit is reached"):
        wait(script, deadline=EPOCH + 600)

    assert sum(script.pauses) <= 5


@pytest.mark.parametrize("jump", [-3600.0, 7200.0, 86400.0])
def test_setting_the_wall_clock_changes_neither_pace_nor_deadline(jump: float) -> None:
    script = Script(*[answer(200, ACCEPTED)] * 20)
    clock = Clock(script)
    times = iter([EPOCH])  # read once; afterwards it has jumped
    flow = protocol.wait(
        "id-1",
        poll_interval=5,
        max_poll_interval=60,
        deadline=EPOCH + 60,
        started_at=EPOCH - 10,
        clock=clock,
        wall_clock=lambda: next(times, EPOCH + jump),
    )
    with pytest.raises(OleriaTimeoutError, match="waited 70 s"):
        script.run(flow)

    assert sum(script.pauses) == pytest.approx(60)


def test_a_status_that_is_not_known_is_waited_on_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    others = [answer(200, {"id": "id-1", "status": status}) for status in ("queued", "running", "queued")]
    done = wait(Script(answer(200, ACCEPTED), *others, answer(200, COMPLETED)))

    assert done.status is DownloadStatus.COMPLETED
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "the status 'queued', which this version of the provider does not know" in warnings[0]


def test_a_timeout_names_the_status_that_is_not_known() -> None:
    script = Script(*[answer(200, {"id": "id-1", "status": "queued"})] * 10)
    with pytest.raises(OleriaTimeoutError, match="last status: queued"):
        wait(script, deadline=EPOCH + 12)
