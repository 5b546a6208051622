"""What is said to the API and what each answer means: the generators, driven by hand, without a socket."""

from __future__ import annotations

import json
import re
import time
import weakref
from collections.abc import Iterable
from typing import Any

import pytest

from airflow_provider_oleria.api import protocol
from airflow_provider_oleria.api.protocol import (
    CloseGate,
    FlowRun,
    RateLimitDelay,
    ReloadConnection,
    Request,
    Response,
    Sleep,
)
from airflow_provider_oleria.connection.settings import RetryPolicy
from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaDownloadFailedError,
    OleriaError,
    OleriaForbiddenError,
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

ACCEPTED = {"id": "id-1", "status": "accepted"}
COMPLETED = {"id": "id-1", "status": "completed", "url": "https://s3.example/x?X-Amz-Signature=f00d"}


def answer(status: int, body: Any = None, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    return Response(status, headers, content)


class Script:
    """A driver without I/O: returns results in order, and records the steps.

    :param turns: delays until the gate is open, in order, beside those for which the flow itself closes it.
    """

    def __init__(self, *results: Any, turns: Iterable[float] = ()) -> None:
        self.results: Iterable[Any] = iter(results)
        self.turns = list(turns)
        self.steps: list[Any] = []

    def run(self, flow: Any) -> Any:
        run = FlowRun(flow)
        while (step := run.step) is not None:
            if isinstance(step, RateLimitDelay):
                run.advance(self.turns.pop(0) if self.turns else 0.0)
                continue
            self.steps.append(step)
            if isinstance(step, CloseGate):
                self.turns.append(step.seconds)
            run.advance(None if isinstance(step, Sleep | CloseGate) else next(self.results))
        return run.result

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


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        ({"message": "Forbidden"}, "answered 403: no code: Forbidden"),
        ({"code": "E42"}, "answered 403: E42: no message"),
        ({"detail": "Forbidden"}, """answered 403: '{"detail": "Forbidden"}'"""),
    ],
)
def test_whatever_the_api_gives_as_a_reason_is_named(body: Any, quoted: str) -> None:
    with pytest.raises(OleriaForbiddenError) as caught:
        Script(answer(403, body)).run(protocol.get("id-1"))

    assert quoted in str(caught.value)


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


@pytest.mark.parametrize(
    ("flow", "names"),
    [(protocol.create("risks"), "filter_by"), (protocol.get("id-1"), "Check download_id")],
    ids=["create", "get"],
)
def test_a_400_names_the_arguments_of_its_own_request(flow: Any, names: str) -> None:
    with pytest.raises(OleriaRequestError, match=names):
        Script(answer(400)).run(flow)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, OleriaRequestError, "400"),
        (403, OleriaForbiddenError, "not scoped"),
        (404, OleriaNotFoundError, "credential may not see it"),
        (409, OleriaRequestError, "409"),
        (302, OleriaRequestError, "redirect is not followed"),
    ],
)
def test_what_no_retry_fixes_is_raised_at_once(status: int, kind: type[OleriaError], message: str) -> None:
    script = Script(answer(status, {"code": "the_code", "message": "the message"}))
    with pytest.raises(kind, match=message) as caught:
        script.run(protocol.get("id-1"))

    assert "the_code: the message" in str(caught.value)
    assert script.sent == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "no JSON object: '<html>'"),
        (b"[1]", "no JSON object"),
        ({"status": "accepted"}, "no id"),
        ({"id": "id-1", "status": "completed"}, "returned no url"),
        ({"id": "id-2", "status": "accepted"}, "returned id-2"),
        ({"id": "id 1\n", "status": "accepted"}, "no id"),
        ({"id": "\ud800", "status": "accepted"}, "no id"),
        ({"id": "x" * 201, "status": "accepted"}, "no id"),
        (b"[" * 100_000, "no JSON object"),
        (b'{"id":' * 100_000, "no JSON object"),
        (b'{"id": "id-1", "size": ' + b"9" * 5000 + b"}", "no JSON object"),
    ],
)
def test_an_answer_outside_the_contract_shows_what_came(body: Any, message: str) -> None:
    with pytest.raises(OleriaProtocolError, match=message):
        Script(answer(200, body)).run(protocol.get("id-1"))


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


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "queued"}, "queued"),
        ({"status": "COMPLETED"}, "COMPLETED"),
        ({"status": "a\nb\x1b[31m"}, r"a\nb\x1b[31m"),
        ({}, DownloadStatus.ACCEPTED),
        ({"status": None}, DownloadStatus.ACCEPTED),
        ({"status": 7}, DownloadStatus.ACCEPTED),
        ({"status": ""}, DownloadStatus.ACCEPTED),
        ({"url": "https://s3.example/x"}, DownloadStatus.COMPLETED),
        ({"url": "https://s3.example/x", "error": {"code": "string"}}, DownloadStatus.COMPLETED),
        ({"error": {"code": "E42", "message": "too wide"}}, DownloadStatus.FAILED),
    ],
)
@pytest.mark.parametrize("flow", [protocol.create, protocol.get])
def test_an_id_is_kept_whatever_the_status(flow: Any, fields: dict[str, Any], status: str) -> None:
    download = Script(answer(200, {"id": "id-1", **fields})).run(flow("id-1"))

    assert (download.download_id, download.status) == ("id-1", status)
    assert isinstance(download.status, DownloadStatus) is isinstance(status, DownloadStatus)


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
