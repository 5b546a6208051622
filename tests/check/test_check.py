"""The contract check against a sandbox that keeps the contract, and one that departs from it in each way there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import pytest

from airflow_provider_oleria.check.__main__ import main
from airflow_provider_oleria.check.assumptions import ASSUMPTIONS
from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.leaks import assert_no_secret, cells_of

CLAIMS = {item.examine.__name__: item for item in ASSUMPTIONS}


@dataclass
class Outcome:
    """What a check came to: held and seen by assumption."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> dict[str, tuple[str, str]]:
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in self.out.splitlines()]
        table = {row[1]: (row[0], row[2]) for row in cells if len(row) == 3}
        return {name: table[item.claim] for name, item in CLAIMS.items() if item.claim in table}

    def named(self, held: str) -> set[str]:
        return {name for name, row in self.rows.items() if row[0] == held}


Check = Callable[..., Outcome]


@pytest.fixture
def check(
    oleria_sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Check:
    """Runs a check; whatever it comes to, its output gives nothing away."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    oleria_sandbox.settings.update({"rows": 50, "export_seconds": 0})

    def run(*arguments: str) -> Outcome:
        code = main(arguments)
        outcome = Outcome(code, *capsys.readouterr())
        known = cells_of(oleria_sandbox) | {"X-Amz-Signature="}
        assert_no_secret(oleria_sandbox, outcome.out + outcome.err, nor=known)
        return outcome

    return run


def departing(*ways: str) -> Callable[[Sandbox], None]:
    return lambda sandbox: sandbox.settings.update({"departures": ways})


def failing(*faults: Fault) -> Callable[[Sandbox], None]:
    return lambda sandbox: [sandbox.fail(fault) for fault in faults] and None


def always(kind: str, **fault: object) -> Callable[[Sandbox], None]:
    return failing(Fault(kind=kind, times=None, **fault))


def with_file(change: Callable[[str], str]) -> Callable[[Sandbox], None]:
    """The whole file, as it is fetched first, is another one."""

    def spoil(sandbox: Sandbox) -> None:
        export = OleriaHook().create_download(DataContext.OLERIA_USERS)
        text = sandbox.expected(export.download_id).path.read_bytes().decode()
        headers = {"ETag": '"an-etag"', "Accept-Ranges": "bytes"}
        sandbox.fail(Fault(kind="fetch", body=change(text), content_type="text/csv", headers=headers))

    return spoil


def ignoring_ranges(sandbox: Sandbox) -> None:
    sandbox.settings.ranges = False
    sandbox.fail(Fault(kind="fetch", times=None, headers={"Accept-Ranges": "bytes"}))


def shortening_urls(sandbox: Sandbox) -> None:
    sandbox.settings.url_seconds = 60


# The first GET is for an unknown id, the second for the download. The fifth token is requested with a wrong
# secret.
BROKEN: list[tuple[str, Callable[[Sandbox], None], str, Collection[str]]] = [
    ("token_life", always("token", fields={"expires_in": None}), "none", ()),
    ("token_life", always("token", fields={"expires_in": "3600"}), "a str, not a number", ()),
    ("audience", departing("audience-required"), "without one: 400 invalid_request", ()),
    ("wrong_secret", failing(Fault(kind="token", nth=5, status=403)), "403 forbidden", ()),
    ("refused_token", departing("forbids-bad-tokens"), "403 unauthorized", ()),
    ("unknown_id", failing(Fault(kind="get", sent_as=400)), "400 not_found", ()),
    ("error_body", failing(Fault(kind="get", fields={"message": None})), "an object with code", ()),
    (
        "error_body",
        failing(Fault(kind="get", status=404, body="<html>", content_type="text/html")),
        "no JSON object, but text/html",
        (),
    ),
    ("json_answers", always("create", headers={"Content-Type": "text/plain"}), "text/plain, application", ()),
    ("created_status", always("create", sent_as=202), "202", ()),
    (
        "statuses",
        failing(Fault(kind="get", nth=2, fields={"status": "queued", "url": None})),
        "accepted, queued, completed",
        (),
    ),
    ("same_id", failing(Fault(kind="get", nth=2, times=None, fields={"id": "another"})), "another", ()),
    ("fresh_url", departing("same-url"), "the same URL twice", ()),
    ("stays_readable", departing("forgets"), "404 not_found", ["fresh_url"]),
    ("presigned", departing("other-signature"), "not presigned by S3", ["url_life"]),
    ("url_life", shortening_urls, "60 s", ()),
    ("tampered_url", departing("any-signature"), "200", ()),
    ("two_credentials", departing("two-credentials"), "200", ()),
    ("length", always("fetch", headers={"Content-Length": None}), "none", ()),
    ("encoding", always("fetch", headers={"Content-Encoding": "br"}), "br", ["header_row", "record_ends"]),
    ("header_row", with_file(lambda text: text[:6] + "@1" + text[6:]), "does not look like", ()),
    ("record_ends", with_file(lambda text: text.replace("\r\n", "\r")), "CR", ()),
    ("announces_ranges", always("fetch", headers={"Accept-Ranges": None}), "Accept-Ranges: none", ()),
    ("serves_ranges", ignoring_ranges, "200, Content-Range: none, other bytes", ()),
    ("strong_etag", always("fetch", headers={"ETag": 'W/"weak"'}), "weak", ()),
    ("strong_etag", always("fetch", headers={"ETag": None}), "none", ()),
    ("if_match", departing("any-etag"), "200", ()),
]


def test_all_holds_where_the_contract_is_kept(check: Check, oleria_sandbox: Sandbox) -> None:
    outcome = check("--wrong-secret")

    assert outcome.code == 0, outcome.out
    assert outcome.named("yes") == set(CLAIMS)
    assert oleria_sandbox.count("create") == 1
    assert outcome.rows["presigned"][1] == "http, 127.0.0.1, presigned by S3"


@pytest.mark.parametrize(
    ("name", "spoil", "seen", "hidden"),
    BROKEN,
    ids=[f"{name}-{seen}" for name, _, seen, _ in BROKEN],
)
def test_what_does_not_hold_is_reported_and_nothing_else(
    check: Check,
    oleria_sandbox: Sandbox,
    name: str,
    spoil: Callable[[Sandbox], None],
    seen: str,
    hidden: Collection[str],
) -> None:
    spoil(oleria_sandbox)
    outcome = check("--wrong-secret")

    assert outcome.code == 1
    assert outcome.named("NO") == {name}, outcome.out
    assert outcome.named("?") == set(hidden), outcome.out
    assert seen in outcome.rows[name][1]
    assert f"* Not true: {CLAIMS[name].claim}. Effect: {CLAIMS[name].effect}." in outcome.out


def test_each_assumption_is_broken_in_some_test() -> None:
    assert {name for name, *_ in BROKEN} == set(CLAIMS)


def test_a_wrong_secret_is_tried_on_request_alone(check: Check) -> None:
    outcome = check()

    assert outcome.code == 0
    assert set(CLAIMS) - set(outcome.rows) == {"wrong_secret"}


def test_what_it_exports_can_be_chosen(check: Check, oleria_sandbox: Sandbox) -> None:
    item = {"dataType": "string", "field": "department", "filterType": "eq", "values": ["Sales"]}
    check("--context", "identities", "--filter", json.dumps(item))

    (created,) = [call for call in oleria_sandbox.calls if call.kind == "create"]
    assert created.body == {"context": "identities", "params": {"filterBy": [item]}}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_file_is_looked_into(check: Check, oleria_sandbox: Sandbox, encoding: str) -> None:
    oleria_sandbox.settings.update({"content_encoding": encoding, "rows": 5000})
    outcome = check()

    assert outcome.code == 0, outcome.out
    assert outcome.rows["encoding"][1] == f"Content-Encoding: {encoding}"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (always("token", status=401, body='{"error": "invalid_client"}'), "client_secret is wrong"),
        (
            always("token", status=400, body='{"error": "invalid_scope"}'),
            "the scope is not known or not granted",
        ),
        (always("any", status=401), "answered 401"),
        (always("create", status=403), "The credential is not scoped for this"),
        (always("create", status=400), "Check data_context, filter_by and sort_by"),
        (always("create", fields={"id": None}), "has no id"),
        (always("create", export_fails="too_large"), "failed at Oleria"),
        (always("get", nth=2, status=404), "answered 404"),
        (always("get", nth=2, fields={"url": "http://store.example/?X-Amz-Signature=1"}), "is not https"),
        (always("fetch", status=404), "the store responded 404"),
        (always("fetch", drop=True), "the connection broke"),
        (always("get", drop=True), "the connection broke"),
    ],
)
def test_where_there_is_nothing_to_look_at(
    check: Check, oleria_sandbox: Sandbox, spoil: Callable[[Sandbox], None], message: str
) -> None:
    spoil(oleria_sandbox)
    outcome = check()

    assert outcome.code == 2
    assert "|" not in outcome.out, "there is no table"  # Airflow 2.11 logs to stdout
    assert re.search(f"could not be carried out: .*{message}", outcome.err)
    assert oleria_sandbox.count("create") <= 1


def test_an_export_that_takes_too_long(check: Check, oleria_sandbox: Sandbox) -> None:
    oleria_sandbox.settings.export_seconds = 60
    outcome = check("--timeout", "0.05")

    assert outcome.code == 2
    assert "did not complete in time" in outcome.err


def test_a_connection_that_is_not_there(check: Check) -> None:
    outcome = check("no_such_connection")

    assert outcome.code == 2
    assert "could not be carried out: Connection 'no_such_connection' does not exist" in outcome.err


def test_a_filter_that_is_none(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check("--filter", "department = Sales")
    assert "a filter is a JSON object" in capsys.readouterr().err

    outcome = check("--filter", '{"field": "department"}')
    assert outcome.code == 2
    assert "dataType" in outcome.err


@pytest.mark.parametrize("kind", ["token", "get", "fetch"])
def test_the_table_shows_no_credential_and_no_control_character(
    check: Check, oleria_sandbox: Sandbox, kind: str
) -> None:
    OleriaHook().get_conn().get("/v1/downloads/none")
    planted = f"\x1b[2J\u202e| {oleria_sandbox.client_secret} {oleria_sandbox.tokens[-1]}"
    fields = {"code": planted, "error": planted, "expires_in": planted, "status": planted}
    headers = {"Content-Type": "\x0bs3cret", "ETag": oleria_sandbox.client_secret}
    oleria_sandbox.fail(
        Fault(kind, fields=None if kind == "fetch" else fields, headers=headers, nth=2, times=None)
    )

    outcome = check("--timeout", "1")

    for line in (outcome.out + outcome.err).splitlines():
        assert line.isprintable()
