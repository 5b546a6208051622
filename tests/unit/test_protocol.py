"""What is sent to the API, and what follows each response: the flows, run by hand, without a socket."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_oleria.api import protocol
from airflow_provider_oleria.api.protocol import (
    CloseGate,
    ReloadConnection,
    Request,
    Sleep,
)
from airflow_provider_oleria.api.responses import Response
from airflow_provider_oleria.connection.settings import RetryPolicy
from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaError,
    OleriaInputError,
    OleriaNotFoundError,
    OleriaProtocolError,
    OleriaRequestError,
    OleriaResponseLostError,
    OleriaRetriesExhaustedError,
    OleriaTimeoutError,
    OleriaUnavailableError,
    OleriaUnreachableError,
)

from .flows import ACCEPTED, Script, answer


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


@pytest.mark.parametrize("data_context", ["", None, 7, b"risks"])
def test_what_is_no_data_context_is_refused_before_it_is_sent(data_context: Any) -> None:
    script = Script()
    with pytest.raises(OleriaInputError, match="data_context"):
        script.run(protocol.create(data_context))
    assert not script.steps


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


def test_401_ends_where_the_connection_has_not_changed() -> None:
    script = Script(answer(401), answer(401, {"code": "unauthorized", "message": "no"}), False)
    with pytest.raises(OleriaAuthError, match="unauthorized: no.*same environment"):
        script.run(protocol.get("id-1"))
    assert script.sent == 2


def test_401_again_and_again_ends_even_if_the_connection_keeps_changing() -> None:
    script = Script(answer(401), answer(401), True, answer(401))
    with pytest.raises(OleriaAuthError):
        script.run(protocol.get("id-1"))


def test_refused_credentials_are_read_again_before_they_are_an_error() -> None:
    script = Script(OleriaAuthError("invalid_client"), True, answer(200, ACCEPTED))
    assert script.run(protocol.get("id-1")).download_id == "id-1"

    script = Script(OleriaAuthError("invalid_client"), False)
    with pytest.raises(OleriaAuthError, match="invalid_client"):
        script.run(protocol.get("id-1"))


@pytest.mark.parametrize("status", [425, 429, 503])
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


def test_a_lost_answer_to_a_post_names_what_is_unknown() -> None:
    with pytest.raises(OleriaResponseLostError, match="not known whether the download of risks was created"):
        Script(OleriaResponseLostError("no answer")).run(protocol.create("risks"))


def test_retry_after_is_what_is_waited() -> None:
    script = Script(answer(429, **{"Retry-After": "7"}), answer(200, ACCEPTED))
    script.run(protocol.get("id-1"))

    assert 7 <= script.pauses[0] <= 7.7


@pytest.mark.parametrize(
    "flow",
    [
        protocol.get("id-1", retry=RetryPolicy(max_attempts=2)),
        protocol.create("risks", retry=RetryPolicy(max_attempts=2)),
    ],
    ids=["get", "create"],
)
def test_the_policy_of_the_caller_decides_how_often_a_request_is_sent(flow: Any) -> None:
    script = Script(answer(503), answer(503))
    with pytest.raises(OleriaRetriesExhaustedError, match="503.*given up after 2 attempts"):
        script.run(flow)

    assert script.sent == 2


def test_a_probe_requests_a_download_that_does_not_exist_and_retries_nothing() -> None:
    script = Script(answer(404, {"code": "not_found"}))
    assert script.run(protocol.probe()) is None

    (request,) = script.steps
    assert request.method == "GET"
    assert re.fullmatch("/v1/downloads/[0-9a-f-]{36}", request.path)


@pytest.mark.parametrize(
    ("response", "kind", "message"),
    [
        (answer(404, b"<html>"), OleriaProtocolError, "answered 404, but not as the API would: '<html>'"),
        (answer(200), OleriaProtocolError, "answered 200, but not as the API would"),
        (answer(299), OleriaProtocolError, "answered 299, but not as the API would"),
        (answer(300), OleriaRequestError, "GET /v1/downloads/[0-9a-f-]{36} answered 300"),
        (answer(401), OleriaAuthError, "GET /v1/downloads/[0-9a-f-]{36} answered 401"),
        (answer(503), OleriaUnavailableError, "answered 503"),
    ],
)
def test_a_probe_names_what_is_wrong(response: Response, kind: type[OleriaError], message: str) -> None:
    script = Script(response)
    with pytest.raises(kind, match=message):
        script.run(protocol.probe())

    assert script.sent == 1


@pytest.mark.parametrize("talk", [protocol.get, protocol.create])
def test_nothing_is_sent_while_the_gate_is_closed(talk: Any) -> None:
    script = Script(answer(200, ACCEPTED), turns=[3.0, 0.5])
    script.run(talk("id-1"))

    assert script.steps[:2] == [Sleep(3.0), Sleep(0.5)]
    assert script.sent == 1


@pytest.mark.parametrize("flow", [protocol.get, protocol.create])
def test_a_request_for_which_the_gate_closed_waits_there_again(flow: Any) -> None:
    script = Script(None, answer(200, ACCEPTED), turns=[0.0, 3.0])
    assert script.run(flow("id-1")).download_id == "id-1"

    assert [type(step) for step in script.steps] == [Request, Sleep, Request]


def test_a_gate_that_closes_during_the_call_keeps_to_the_deadline() -> None:
    script = Script(None, turns=[0.0, 900.0])
    with pytest.raises(OleriaTimeoutError, match="paused"):
        script.run(protocol.get("id-1", deadline=protocol.time.monotonic() + 30))


def test_a_429_closes_the_gate_and_a_503_does_not() -> None:
    script = Script(answer(429), answer(503), answer(200, ACCEPTED))
    script.run(protocol.get("id-1"))

    assert [type(step) for step in script.steps] == [Request, CloseGate, Sleep, Request, Sleep, Request]


@pytest.mark.parametrize("status", [408, 503, 504])
def test_any_retry_after_closes_the_gate_but_counts_as_a_rate_limit_only_at_a_429(status: int) -> None:
    script = Script(answer(status, **{"Retry-After": "900"}), turns=[0.0])
    with pytest.raises(OleriaRetriesExhaustedError, match="temporarily unavailable"):
        script.run(protocol.get("id-1"))

    (closed,) = [step for step in script.steps if isinstance(step, CloseGate)]
    assert closed.seconds >= 900
    assert not closed.is_rate_limit


def test_a_gate_that_opens_after_the_deadline_is_a_timeout() -> None:
    script = Script(turns=[60.0])
    with pytest.raises(OleriaTimeoutError, match="rate limit"):
        script.run(protocol.get("id-1", deadline=protocol.time.monotonic() + 30))

    assert not script.steps


@pytest.mark.parametrize("seconds", ["900", "86400"])
def test_a_429_closes_the_gate_before_the_call_gives_up(seconds: str) -> None:
    script = Script(answer(429, **{"Retry-After": seconds}))
    with pytest.raises(OleriaRetriesExhaustedError, match="rate limit is reached"):
        script.run(protocol.get("id-1"))

    (closed,) = [step for step in script.steps if isinstance(step, CloseGate)]
    assert closed.seconds >= float(seconds)


@pytest.mark.parametrize("failure", [answer(408), answer(500), answer(200, b"")])
def test_a_get_that_fails_for_a_moment_is_repeated(failure: Response) -> None:
    assert Script(failure, answer(200, ACCEPTED)).run(protocol.get("id-1")).download_id == "id-1"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(answer(408), OleriaUnavailableError), (answer(201, b""), OleriaResponseLostError)],
)
def test_a_post_is_not(failure: Response, kind: type[OleriaError]) -> None:
    script = Script(failure)
    with pytest.raises(kind):
        script.run(protocol.create("risks"))
    assert script.sent == 1


def test_a_connection_that_reads_differently_each_time_is_read_with_delays_and_given_up() -> None:
    script = Script(*[OleriaAuthError("invalid_client"), True] * 8)
    with pytest.raises(OleriaRetriesExhaustedError, match="invalid_client .given up after 8"):
        script.run(protocol.get("id-1"))

    assert script.sent == 8
    assert len(script.pauses) == 7
    assert min(script.pauses) >= 0.75


@pytest.mark.parametrize("download_id", ["", " ", "a b", "\ud800", "é", None, 7])
def test_what_cannot_be_an_id_is_refused_before_it_is_sent(download_id: Any) -> None:
    script = Script()
    with pytest.raises(OleriaInputError, match="download_id"):
        script.run(protocol.get(download_id))
    assert not script.steps
