"""What is said to the API and what each answer means: the generators, driven by hand, without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from airflow_provider_oleria.api import protocol
from airflow_provider_oleria.api.protocol import RateLimitDelay, ReloadConnection, Request, Response, Sleep
from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaDownloadFailedError,
    OleriaError,
    OleriaForbiddenError,
    OleriaNotFoundError,
    OleriaProtocolError,
    OleriaRequestError,
    OleriaResponseLostError,
    OleriaTimeoutError,
    OleriaUnavailableError,
    OleriaUnreachableError,
)

ACCEPTED = {"id": "id-1", "status": "accepted"}
COMPLETED = {"id": "id-1", "status": "completed", "url": "https://s3.example/x?X-Amz-Signature=f00d"}


def answer(status: int, body: Any = None, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    return Response(status, headers, content)


class Script:
    """Plays the other side: hands out results in order, and notes what was asked for.

    :param turns: what the gate answers, in order; then it is open.
    """

    def __init__(self, *results: Any, turns: Iterable[float] = ()) -> None:
        self.results: Iterable[Any] = iter(results)
        self.turns = iter(turns)
        self.steps: list[Any] = []

    def run(self, talk: Any) -> Any:
        try:
            step = next(talk)
            while True:
                if isinstance(step, RateLimitDelay):
                    step = talk.send(next(self.turns, 0.0))
                    continue
                self.steps.append(step)
                result = None if isinstance(step, Sleep) else next(self.results)
                step = talk.throw(result) if isinstance(result, OleriaError) else talk.send(result)
        except StopIteration as end:
            return end.value

    @property
    def sent(self) -> int:
        return sum(isinstance(step, Request) for step in self.steps)

    @property
    def pauses(self) -> list[float]:
        return [step.seconds for step in self.steps if isinstance(step, Sleep)]


def test_create_sends_the_published_body_and_reads_any_2xx() -> None:
    for status in (200, 201, 202):
        script = Script(answer(status, ACCEPTED))
        request = script.run(
            protocol.create("risks", [{"dataType": "string", "field": "f", "filterType": "isNull"}], None)
        )

        assert request == Download("id-1", DownloadStatus.ACCEPTED)
        assert script.steps == [
            Request(
                "POST",
                "/v1/downloads",
                {
                    "context": "risks",
                    "params": {
                        "filterBy": [
                            {"dataType": "string", "field": "f", "filterType": "isNull", "values": []}
                        ]
                    },
                },
            )
        ]


def test_params_are_left_out_when_there_are_none() -> None:
    script = Script(answer(201, ACCEPTED))
    script.run(protocol.create("risks", [], None))

    assert script.steps[0].json == {"context": "risks"}


def test_an_id_cannot_change_the_path() -> None:
    script = Script(answer(404))
    with pytest.raises(OleriaNotFoundError):
        script.run(protocol.get("../tokens?x=1"))

    assert script.steps[0].path == "/v1/downloads/..%2Ftokens%3Fx%3D1"


@pytest.mark.parametrize("talk", [protocol.get("id-1"), protocol.create("risks")], ids=["get", "create"])
def test_401_is_replayed_once_then_the_connection_is_read_again(talk: Any) -> None:
    script = Script(answer(401), answer(401), True, answer(200, ACCEPTED))

    assert script.run(talk).download_id == "id-1"
    assert [type(step) for step in script.steps] == [Request, Request, ReloadConnection, Request]


def test_401_ends_where_the_connection_says_nothing_new() -> None:
    script = Script(answer(401), answer(401, {"code": "unauthorized", "message": "no"}), False)
    with pytest.raises(OleriaAuthError, match="unauthorized: no.*same environment"):
        script.run(protocol.get("id-1"))
    assert script.sent == 2


def test_401_for_ever_ends_even_if_the_connection_keeps_changing() -> None:
    script = Script(answer(401), answer(401), True, answer(401))
    with pytest.raises(OleriaAuthError):
        script.run(protocol.get("id-1"))


def test_refused_credentials_are_read_again_before_they_are_an_error() -> None:
    script = Script(OleriaAuthError("invalid_client"), True, answer(200, ACCEPTED))
    assert script.run(protocol.get("id-1")).download_id == "id-1"

    script = Script(OleriaAuthError("invalid_client"), False)
    with pytest.raises(OleriaAuthError, match="invalid_client"):
        script.run(protocol.get("id-1"))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("talk", [protocol.get, protocol.create])
def test_what_was_not_taken_is_sent_again(status: int, talk: Any) -> None:
    script = Script(answer(status), OleriaUnreachableError("refused"), answer(200, ACCEPTED))

    assert script.run(talk("id-1")).download_id == "id-1"
    assert script.sent == 3


@pytest.mark.parametrize("failure", [answer(500), answer(502), OleriaResponseLostError("lost")])
def test_a_post_that_may_have_arrived_is_not_repeated_but_a_get_is(failure: Any) -> None:
    script = Script(failure)
    with pytest.raises((OleriaUnavailableError, OleriaResponseLostError)):
        script.run(protocol.create("risks"))
    assert script.sent == 1

    script = Script(failure, answer(200, ACCEPTED))
    assert script.run(protocol.get("id-1")).download_id == "id-1"


def test_a_lost_answer_to_a_post_says_what_is_unknown() -> None:
    with pytest.raises(OleriaResponseLostError, match="export of risks was started is unknown"):
        Script(OleriaResponseLostError("no answer")).run(protocol.create("risks"))


def test_retry_after_is_what_is_waited() -> None:
    script = Script(answer(429, **{"Retry-After": "7"}), answer(200, ACCEPTED))
    script.run(protocol.get("id-1"))

    assert 7 <= script.pauses[0] <= 7.7


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (400, OleriaRequestError, "filter_by"),
        (403, OleriaForbiddenError, "not scoped"),
        (404, OleriaNotFoundError, "credential may not see it"),
        (409, OleriaRequestError, "409"),
        (302, OleriaRequestError, "redirect is not followed"),
    ],
)
def test_what_no_retry_mends_is_raised_at_once(status: int, kind: type[OleriaError], says: str) -> None:
    script = Script(answer(status, {"code": "the_code", "message": "the message"}))
    with pytest.raises(kind, match=says) as caught:
        script.run(protocol.get("id-1"))

    assert "the_code: the message" in str(caught.value)
    assert script.sent == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>", "no JSON object: '<html>'"),
        (b"[1]", "no JSON object"),
        ({"status": "accepted"}, "no id"),
        ({"id": "id-1", "status": "paused"}, "status 'paused', which is none of accepted, completed, failed"),
        ({"id": "id-1"}, "status None"),
        ({"id": "id-1", "status": "completed"}, "gave no url"),
        ({"id": "id-2", "status": "accepted"}, "answered with id-2"),
    ],
)
def test_an_answer_outside_the_contract_shows_what_came(body: Any, says: str) -> None:
    with pytest.raises(OleriaProtocolError, match=says):
        Script(answer(200, body)).run(protocol.get("id-1"))


class Clock:
    """Time that passes only where the conversation pauses."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def __call__(self) -> float:
        return sum(self.script.pauses)


def wait(script: Script, **limits: Any) -> Any:
    limits = {"poll_interval": 5, "max_poll_interval": 60, "deadline": None, **limits}
    return script.run(protocol.wait("id-1", clock=Clock(script), **limits))


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
    with pytest.raises(OleriaTimeoutError, match="id-1 .* waited 12 s, last status accepted"):
        wait(script, deadline=12.0)

    assert sum(script.pauses) == pytest.approx(12.0)


def test_a_failed_export_shows_the_vendors_code_and_message() -> None:
    failed = {"id": "id-1", "status": "failed", "error": {"code": "E42", "message": "too wide"}}
    with pytest.raises(OleriaDownloadFailedError, match="id-1: E42: too wide"):
        wait(Script(answer(200, ACCEPTED), answer(200, failed)))


def test_an_outage_that_outlasts_the_deadline_is_a_timeout_that_names_both() -> None:
    script = Script(answer(200, ACCEPTED), *[answer(503)] * 10)
    with pytest.raises(OleriaTimeoutError, match="last status accepted; .*503"):
        script.run(
            protocol.wait(
                "id-1", poll_interval=1e-9, max_poll_interval=1e-9, deadline=protocol.time.time() + 5
            )
        )


@pytest.mark.parametrize("talk", [protocol.get, protocol.create])
def test_nothing_is_sent_while_the_gate_is_closed(talk: Any) -> None:
    script = Script(answer(200, ACCEPTED), turns=[3.0, 0.5])
    script.run(talk("id-1"))

    assert script.steps[:2] == [Sleep(3.0), Sleep(0.5)]
    assert script.sent == 1


def test_a_429_is_a_pause_for_all_and_a_503_is_not() -> None:
    script = Script(answer(429), answer(503), answer(200, ACCEPTED))
    script.run(protocol.get("id-1"))

    assert [step.for_all for step in script.steps if isinstance(step, Sleep)] == [True, False]


def test_a_gate_that_opens_after_the_deadline_is_a_timeout() -> None:
    script = Script(turns=[60.0])
    with pytest.raises(OleriaTimeoutError, match="rate limit"):
        script.run(protocol.get("id-1", deadline=protocol.time.time() + 30))

    assert not script.steps
