"""What this package assumes about the API, one function each.

To add one, write a function that looks at the :class:`Evidence`, or asks something more through its ``calls``, and
returns whether the claim holds and what was seen. What it returns is printed: no secret, no row of data, no query of a
URL.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from airflow_provider_oleria.api.protocol import Response
from airflow_provider_oleria.check.calls import NO_TOKEN
from airflow_provider_oleria.check.evidence import Evidence, content
from airflow_provider_oleria.connection.settings import is_loopback
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import OleriaTransferError
from airflow_provider_oleria.net.redaction import redacted
from airflow_provider_oleria.transfer.content_encoding import UNDERSTOOD, decoded
from airflow_provider_oleria.transfer.presigned import error_code, is_expired

Look = Callable[[Evidence], tuple[bool, str]]


class NotSeenError(Exception):
    """What a claim is about cannot be seen here; the text says why."""


@dataclass(frozen=True)
class Assumption:
    """A claim about the API, and how to look whether it holds.

    :param claim: in one sentence.
    :param otherwise: what it means for a user when it does not hold.
    :param look: whether it holds, and what was seen.
    :param alarming: whether to look may alarm whoever watches over the tenant.
    """

    claim: str
    otherwise: str
    look: Look
    alarming: bool = False


ASSUMPTIONS: Final[list[Assumption]] = []
"""In the order of the table."""


def assumption(claim: str, *, otherwise: str, alarming: bool = False) -> Callable[[Look], Look]:
    """Put a claim into the table, above the function that looks whether it holds."""

    def noted(look: Look) -> Look:
        ASSUMPTIONS.append(Assumption(claim, otherwise, look, alarming))
        return look

    return noted


# -- the token --------------------------------------------------------------------------------------------------------


@assumption(
    "A token's life is told: expires_in, in seconds",
    otherwise="a token is taken to live for 5 minutes",
)
def token_life(evidence: Evidence) -> tuple[bool, str]:
    answer = evidence.calls.token()
    if answer.status != 200:
        raise NotSeenError(f"a second token request was answered {_said(answer)}")
    life = content(answer).get("expires_in")
    if isinstance(life, bool) or not isinstance(life, int | float):
        return False, "none" if life is None else f"a {type(life).__name__}, not a number"
    return life > 0, f"{life} s"


@assumption(
    "A token is issued without an audience, too",
    otherwise="the Connection needs its extra 'audience'",
)
def audience(evidence: Evidence) -> tuple[bool, str]:
    without = evidence.calls.token(audience=None)
    other = evidence.calls.token(audience="https://nobody.invalid")
    return without.status == 200, f"without one: {_issued(without)}; for another one: {_issued(other)}"


@assumption(
    "A wrong client secret is refused with 400 or 401 and invalid_client",
    otherwise="a secret that was rotated is not recognised as that, and the Connection not read again",
    alarming=True,
)
def wrong_secret(evidence: Evidence) -> tuple[bool, str]:
    answer = evidence.calls.token(client_secret="obviously-wrong")  # noqa: S106  # indeed
    return answer.status in (400, 401) and content(answer).get("error") == "invalid_client", _said(answer)


# -- the API ----------------------------------------------------------------------------------------------------------


@assumption(
    "A token that is not valid is refused with 401",
    otherwise="a token that was revoked is not replaced: the task fails",
)
def refused_token(evidence: Evidence) -> tuple[bool, str]:
    answer = evidence.calls.with_bad_token(evidence.path)
    return answer.status == 401, _said(answer)


@assumption(
    "An unknown id is answered with 404",
    otherwise="a retry does not recognise that its export is gone, and does not start another",
)
def unknown_id(evidence: Evidence) -> tuple[bool, str]:
    return evidence.unknown.status == 404, _said(evidence.unknown)


@assumption(
    "An error is a JSON object with code and message",
    otherwise="errors quote the beginning of the answer instead",
)
def error_body(evidence: Evidence) -> tuple[bool, str]:
    body = evidence.unknown.json
    if body is None:
        return False, f"no JSON object, but {_shown(_header(evidence.unknown, 'Content-Type'))}"
    names = ", ".join(sorted(body)) or "nothing"
    return {"code", "message"} <= body.keys(), f"an object with {_shown(names)}"


@assumption(
    "The API's answers are application/json",
    otherwise="nothing, as long as they are JSON",
)
def json_answers(evidence: Evidence) -> tuple[bool, str]:
    types = dict.fromkeys(_header(answer, "Content-Type") for answer in (evidence.created, *evidence.polls))
    return all(kind.split(";")[0].strip() == "application/json" for kind in types), _list(types)


# -- the export -------------------------------------------------------------------------------------------------------


@assumption(
    "The start of an export is answered with 201",
    otherwise="nothing: any 2xx is taken",
)
def created_status(evidence: Evidence) -> tuple[bool, str]:
    return evidence.created.status == 201, str(evidence.created.status)


@assumption(
    "An export is accepted, and then completed",
    otherwise="a status of another name fails the task",
)
def statuses(evidence: Evidence) -> tuple[bool, str]:
    words = [str(content(answer).get("status")) for answer in (evidence.created, *evidence.polls)]
    holds = words[-1] == DownloadStatus.COMPLETED and set(words) <= {DownloadStatus.ACCEPTED, words[-1]}
    return holds, f"{_list(dict.fromkeys(words))}, after {evidence.seconds:.1f} s"


@assumption(
    "An answer has the id that was asked for",
    otherwise="the task fails: it might be somebody else's export",
)
def same_id(evidence: Evidence) -> tuple[bool, str]:
    asked = content(evidence.created).get("id")
    holds = all(content(answer).get("id") == asked for answer in evidence.polls)
    return holds, "the same" if holds else "another, or none"


@assumption(
    "Each question for a completed export is answered with a fresh URL",
    otherwise="a transfer longer than the URL's life cannot be taken up where it broke",
)
def fresh_url(evidence: Evidence) -> tuple[bool, str]:
    again = content(evidence.again).get("url")
    if not again:
        raise NotSeenError(f"the second question was answered {_said(evidence.again)}")
    return again != evidence.url, "the same URL twice" if again == evidence.url else "two URLs"


@assumption(
    "A completed export stays readable",
    otherwise="a retry may come too late for it, and starts another",
)
def stays_readable(evidence: Evidence) -> tuple[bool, str]:
    answer = evidence.calls.once(evidence.path)
    return answer.status == 200 and bool(content(answer).get("url")), _said(answer)


# -- its URL ----------------------------------------------------------------------------------------------------------


@assumption(
    "The URL is https, presigned by S3 (X-Amz-Signature)",
    otherwise="the URL is not recognised as a credential where a library logs it: report this",
)
def presigned(evidence: Evidence) -> tuple[bool, str]:
    url, is_s3s = urlsplit(evidence.url), "X-Amz-Signature" in _query(evidence)
    is_safe = url.scheme == "https" or is_loopback(evidence.url)
    how = "presigned by S3" if is_s3s else "not presigned by S3"
    return is_s3s and is_safe, f"{url.scheme}, {_shown(url.hostname)}, {how}"


@assumption(
    "The URL is good for 5 minutes, or longer",
    otherwise="URLs are asked for more often; nothing else",
)
def url_life(evidence: Evidence) -> tuple[bool, str]:
    life = _query(evidence).get("X-Amz-Expires", [""])[0]
    if not life.isdecimal():
        raise NotSeenError("the URL has no X-Amz-Expires")
    return int(life) >= 300, f"{int(life)} s"


@assumption(
    "A URL that was tampered with is refused as an expired one is",
    otherwise="an expired URL may not be recognised, and not be renewed",
)
def tampered_url(evidence: Evidence) -> tuple[bool, str]:
    tampered = re.sub(
        r"(?<=Signature=)[^&]", lambda first: "0" if first[0] != "0" else "1", evidence.url, count=1
    )
    if tampered == evidence.url:
        raise NotSeenError("the URL has no signature that could be changed")
    answer = evidence.calls.file(tampered)
    return is_expired(answer.status, answer.body), _said(answer)


@assumption(
    "The URL with an Authorization header besides is refused",
    otherwise="nothing: no such request is made",
)
def two_credentials(evidence: Evidence) -> tuple[bool, str]:
    answer = evidence.calls.file(evidence.url, Authorization=NO_TOKEN)
    return answer.status >= 400, _said(answer)


# -- its file ---------------------------------------------------------------------------------------------------------


@assumption(
    "The file comes with its Content-Length",
    otherwise="that it is cut short is not noticed, unless by the connection",
)
def length(evidence: Evidence) -> tuple[bool, str]:
    announced = _header(evidence.file, "Content-Length")
    return announced.isdecimal(), f"{int(announced):,} bytes" if announced.isdecimal() else "none"


@assumption(
    "The file comes as it is, or in gzip or deflate",
    otherwise="it cannot be saved",
)
def encoding(evidence: Evidence) -> tuple[bool, str]:
    name = _encoding(evidence)
    return name in UNDERSTOOD, f"Content-Encoding: {_shown(name or 'none')}"


@assumption(
    "The file begins with a header row",
    otherwise="row_count is one too few, and Parquet takes the first row for the names of columns",
)
def header_row(evidence: Evidence) -> tuple[bool, str]:
    text = _csv(evidence).decode("utf-8-sig", "replace")
    try:
        names = next(csv.reader(io.StringIO(text, newline="")), [])
    except csv.Error:
        names = []
    # The names themselves are not shown: they might be somebody's data after all.
    are_names = all(re.fullmatch(r"[^\W\d][\w .()/-]*", name) for name in names)
    if are_names and len(set(names)) == len(names) > 0:
        return True, f"{len(names)} columns"
    return False, "the first row does not look like the names of columns"


@assumption(
    "A record ends in LF or CRLF",
    otherwise="row_count is wrong",
)
def record_ends(evidence: Evidence) -> tuple[bool, str]:
    outside_quotes = re.sub(rb'"[^"]*("|$)', b"", _csv(evidence))
    found = set(re.findall(rb"\r\n|\n|\r", outside_quotes))
    if not found:
        raise NotSeenError("the file is one line without an end")
    named = {b"\r\n": "CRLF", b"\n": "LF", b"\r": "CR"}
    return b"\r" not in found, ", ".join(sorted(named[end] for end in found))


@assumption(
    "The store says that it serves ranges",
    otherwise="a large file comes over one connection, which may be slow",
)
def says_ranges(evidence: Evidence) -> tuple[bool, str]:
    said = _header(evidence.file, "Accept-Ranges")
    return said.lower() == "bytes", f"Accept-Ranges: {_shown(said or 'none')}"


@assumption(
    "A range is answered with 206 and just these bytes",
    otherwise="a broken transfer begins anew at the first byte",
)
def serves_ranges(evidence: Evidence) -> tuple[bool, str]:
    wanted = evidence.file.body[1:5]
    if not wanted:
        raise NotSeenError("the file is empty")
    answer = evidence.calls.file(evidence.url, Range=f"bytes=1-{len(wanted)}")
    where = _header(answer, "Content-Range")
    bytes_are = "these bytes" if answer.body == wanted else "other bytes"
    holds = answer.status == 206 and where.startswith(f"bytes 1-{len(wanted)}/") and answer.body == wanted
    return holds, f"{answer.status}, Content-Range: {_shown(where or 'none')}, {bytes_are}"


@assumption(
    "The file has a strong ETag",
    otherwise="a broken transfer cannot be taken up, and a large file comes over one connection",
)
def strong_etag(evidence: Evidence) -> tuple[bool, str]:
    etag = _header(evidence.file, "ETag")
    return etag.startswith('"'), "strong" if etag.startswith('"') else "weak" if etag else "none"


@assumption(
    "A request for another ETag (If-Match) is refused with 412",
    otherwise="that the file was replaced meanwhile is noticed by the ETag of the answer alone",
)
def if_match(evidence: Evidence) -> tuple[bool, str]:
    answer = evidence.calls.file(evidence.url, If_Match='"another"')
    return answer.status == 412, _said(answer)


# -- how it is told ---------------------------------------------------------------------------------------------------


def _said(answer: Response) -> str:
    """Status and error code, in the API's, OAuth's or S3's way of putting it."""
    body = answer.json or {}
    code = body.get("code") or body.get("error") or error_code(answer.body)
    return f"{answer.status} {_shown(code)}".rstrip()


def _issued(answer: Response) -> str:
    return "issued" if answer.status == 200 else _said(answer)


def _shown(text: object) -> str:
    """What the other side wrote, fit for a line of the table."""
    return " ".join(redacted(str(text)).replace("|", "/").split())[:60]


def _list(texts: Iterable[str]) -> str:
    return ", ".join(_shown(text or "none") for text in texts)


def _header(answer: Response, name: str) -> str:
    return answer.headers.get(name, "").strip()


def _query(evidence: Evidence) -> dict[str, list[str]]:
    return parse_qs(urlsplit(evidence.url).query)


def _encoding(evidence: Evidence) -> str:
    return _header(evidence.file, "Content-Encoding").lower()


def _csv(evidence: Evidence) -> bytes:
    """The beginning of the file without its Content-Encoding."""
    text = b""
    try:
        for piece in decoded([evidence.file.body], _encoding(evidence)):
            text += piece
    except OleriaTransferError as problem:
        if not text:  # otherwise it is cut, which is what it was on purpose
            raise NotSeenError(str(problem)) from None
    return text
