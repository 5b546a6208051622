"""What this package assumes about the API, one function each.

To add one, write a function that examines the :class:`Evidence`, or sends a request through its ``calls``, and returns
whether the claim holds and what was seen. That is printed: no secret, no row of data, no query of a URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from airflow_provider_oleria.api.responses import Response
from airflow_provider_oleria.check.calls import NO_TOKEN
from airflow_provider_oleria.check.evidence import Evidence, content
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import OleriaTransferError
from airflow_provider_oleria.net.redaction import quoted
from airflow_provider_oleria.transfer.content_encoding import UNDERSTOOD, decoded
from airflow_provider_oleria.transfer.csv_records import Header, Quotes
from airflow_provider_oleria.transfer.presigned import error_code, is_expired

Examine = Callable[[Evidence], tuple[bool, str]]


class NotSeenError(Exception):
    """The claim cannot be examined here; the text has the reason."""


class Assumption(NamedTuple):
    """A claim about the API, the effect if it does not hold, and a function that returns whether it does, and why.

    An ``alarming`` one sends a request that the tenant's monitoring may report.
    """

    claim: str
    effect: str
    examine: Examine
    alarming: bool


ASSUMPTIONS: Final[list[Assumption]] = []
"""In the order of the table."""


def assumption(claim: str, effect: str, *, alarming: bool = False) -> Callable[[Examine], Examine]:
    """Add a claim to the table; decorates the function that examines it."""

    def add(examine: Examine) -> Examine:
        ASSUMPTIONS.append(Assumption(claim, effect, examine, alarming))
        return examine

    return add


@assumption("A token has a lifetime: expires_in, in seconds", "tokens are renewed after 5 minutes")
def token_life(evidence: Evidence) -> tuple[bool, str]:
    response = evidence.calls.token()
    if response.status != 200:
        raise NotSeenError(f"the response to a second token request is {_outcome(response)}")
    life = content(response).get("expires_in")
    if isinstance(life, bool) or not isinstance(life, int | float):
        return False, "none" if life is None else f"a {type(life).__name__}, not a number"
    return life > 0, f"{_shown(life)} s"


@assumption("A token is issued without an audience", "the Connection needs its extra 'audience'")
def audience(evidence: Evidence) -> tuple[bool, str]:
    without = evidence.calls.token(audience=None)
    other = evidence.calls.token(audience="https://wrong.invalid")
    return without.status == 200, f"without one: {_outcome(without)}; with a wrong one: {_outcome(other)}"


@assumption(
    "A wrong client secret is refused with 400 or 401 and invalid_client",
    "a rotated secret is not noticed, and the Connection is not read again",
    alarming=True,
)
def wrong_secret(evidence: Evidence) -> tuple[bool, str]:
    response = evidence.calls.token(client_secret="obviously-wrong")  # noqa: S106  # indeed
    holds = response.status in (400, 401) and content(response).get("error") == "invalid_client"
    return holds, _outcome(response)


@assumption("An invalid token is refused with 401", "a revoked token is not replaced, and the task fails")
def refused_token(evidence: Evidence) -> tuple[bool, str]:
    response = evidence.calls.with_bad_token(evidence.path)
    return response.status == 401, _outcome(response)


@assumption(
    "The response for an unknown id is 404",
    "a retry does not notice that its download is gone, and creates no other",
)
def unknown_id(evidence: Evidence) -> tuple[bool, str]:
    return evidence.unknown.status == 404, _outcome(evidence.unknown)


@assumption("An error is a JSON object with code and message", "errors quote the response instead")
def error_body(evidence: Evidence) -> tuple[bool, str]:
    body = evidence.unknown.json
    if body is None:
        return False, f"no JSON object, but {_shown(_header(evidence.unknown, 'Content-Type'))}"
    return {"code", "message"} <= body.keys(), f"an object with {_list(sorted(body)) or 'nothing'}"


@assumption("The API's responses are application/json", "none, if they are JSON")
def json_answers(evidence: Evidence) -> tuple[bool, str]:
    types = dict.fromkeys(_header(each, "Content-Type") for each in (evidence.created, *evidence.polls))
    return all(kind.split(";")[0].strip() == "application/json" for kind in types), _list(types)


@assumption("The response to the creation of a download is 201", "none: any 2xx is accepted")
def created_status(evidence: Evidence) -> tuple[bool, str]:
    return evidence.created.status == 201, str(evidence.created.status)


@assumption(
    "A download is accepted, then completed", "another status is waited on, with a warning, until the timeout"
)
def statuses(evidence: Evidence) -> tuple[bool, str]:
    words = [str(content(each).get("status")) for each in (evidence.created, *evidence.polls)]
    holds = words[-1] == DownloadStatus.COMPLETED and set(words) <= {DownloadStatus.ACCEPTED, words[-1]}
    return holds, f"{_list(dict.fromkeys(words))}, after {evidence.seconds:.1f} s"


@assumption(
    "A response has the id of the request", "the task fails: the response may be about another download"
)
def same_id(evidence: Evidence) -> tuple[bool, str]:
    requested = content(evidence.created).get("id")
    holds = all(content(each).get("id") == requested for each in evidence.polls)
    return holds, "the same" if holds else "another, or none"


@assumption(
    "Each poll of a completed download returns a new URL",
    "a transfer that takes longer than the URL's lifetime cannot be resumed",
)
def fresh_url(evidence: Evidence) -> tuple[bool, str]:
    again = content(evidence.again).get("url")
    if not again:
        raise NotSeenError(f"the response to one more poll is {_outcome(evidence.again)}")
    return again != evidence.url, "the same URL twice" if again == evidence.url else "two URLs"


@assumption("A completed download stays readable", "a retry may find it gone, and creates another")
def stays_readable(evidence: Evidence) -> tuple[bool, str]:
    response = evidence.calls.once(evidence.path)
    return response.status == 200 and bool(content(response).get("url")), _outcome(response)


@assumption(
    "The URL is presigned by S3 (X-Amz-Signature)",
    "the URL is not recognised as a credential where a library logs it: report this",
)
def presigned(evidence: Evidence) -> tuple[bool, str]:
    url, is_s3s = urlsplit(evidence.url), "X-Amz-Signature" in _query(evidence)
    return is_s3s, f"{url.scheme}, {_shown(url.hostname)}, {'' if is_s3s else 'not '}presigned by S3"


@assumption("The URL is valid for 5 minutes or longer", "URLs are requested more often")
def url_life(evidence: Evidence) -> tuple[bool, str]:
    life = _query(evidence).get("X-Amz-Expires", [""])[0]
    if not re.fullmatch(r"\d{1,18}", life):
        raise NotSeenError("the URL has no X-Amz-Expires in seconds")
    return int(life) >= 300, f"{int(life)} s"


@assumption(
    "A URL that was changed is refused as an expired one is",
    "an expired URL may not be recognised, and not be renewed",
)
def tampered_url(evidence: Evidence) -> tuple[bool, str]:
    changed = re.sub(r"(?<=Signature=).", lambda first: "01"[first[0] == "0"], evidence.url, count=1)
    if changed == evidence.url:
        raise NotSeenError("the URL has no signature that could be changed")
    response = evidence.calls.file(changed)
    return is_expired(response.status, response.body), _outcome(response)


@assumption("The URL with an Authorization header is refused", "none: no such request is sent")
def two_credentials(evidence: Evidence) -> tuple[bool, str]:
    response = evidence.calls.file(evidence.url, Authorization=NO_TOKEN)
    return response.status >= 400, _outcome(response)


@assumption(
    "The file has a Content-Length", "a file that is cut short is noticed only if the connection breaks"
)
def length(evidence: Evidence) -> tuple[bool, str]:
    announced = _header(evidence.file, "Content-Length")
    if not re.fullmatch(r"\d{1,18}", announced):
        return False, _shown(announced or "none")
    return True, f"{int(announced):,} bytes"


@assumption("The file is not compressed, or with gzip or deflate", "it cannot be saved")
def encoding(evidence: Evidence) -> tuple[bool, str]:
    name = _header(evidence.file, "Content-Encoding").lower()
    return name in UNDERSTOOD, f"Content-Encoding: {_shown(name or 'none')}"


@assumption(
    "The file begins with a header row",
    "row_count is one too few, and Parquet takes the first row for the column names",
)
def header_row(evidence: Evidence) -> tuple[bool, str]:
    header = Header()
    header.write(_csv(evidence))
    header.close()
    names = header.columns
    # The names are not printed: they may be data.
    are_names = all(re.fullmatch(r"[^\W\d][\w .()/-]*", name) for name in names)
    if are_names and len(set(names)) == len(names) > 0:
        return True, f"{len(names)} columns"
    return False, "the first row does not look like column names"


@assumption("A record ends in LF or CRLF", "none for this package; some readers take the file for one line")
def record_ends(evidence: Evidence) -> tuple[bool, str]:
    found = set(re.findall(rb"\r\n|\n|\r", Quotes().read(_csv(evidence))))
    if not found:
        raise NotSeenError("the file is one line without an end")
    named = {b"\r\n": "CRLF", b"\n": "LF", b"\r": "CR"}
    return b"\r" not in found, ", ".join(sorted(named[end] for end in found))


@assumption("The store announces ranges", "a large file is fetched over one connection, which may be slow")
def announces_ranges(evidence: Evidence) -> tuple[bool, str]:
    announced = _header(evidence.file, "Accept-Ranges")
    return announced.lower() == "bytes", f"Accept-Ranges: {_shown(announced or 'none')}"


@assumption(
    "The response to a range is 206 and exactly these bytes",
    "a broken transfer starts again at the first byte",
)
def serves_ranges(evidence: Evidence) -> tuple[bool, str]:
    wanted = evidence.file.body[1:5]
    if not wanted:
        raise NotSeenError("the file is empty")
    response = evidence.calls.file(evidence.url, Range=f"bytes=1-{len(wanted)}")
    where = _header(response, "Content-Range")
    is_same = response.body == wanted
    holds = response.status == 206 and where.startswith(f"bytes 1-{len(wanted)}/") and is_same
    which = "these" if is_same else "other"
    return holds, f"{response.status}, Content-Range: {_shown(where or 'none')}, {which} bytes"


@assumption(
    "The file has a strong ETag",
    "a broken transfer cannot be resumed, and a large file is fetched over one connection",
)
def strong_etag(evidence: Evidence) -> tuple[bool, str]:
    etag = _header(evidence.file, "ETag")
    return etag.startswith('"'), "strong" if etag.startswith('"') else "weak" if etag else "none"


@assumption(
    "A request for another ETag (If-Match) is refused with 412",
    "a file that was replaced is noticed by the ETag of the response alone",
)
def if_match(evidence: Evidence) -> tuple[bool, str]:
    response = evidence.calls.file(evidence.url, If_Match='"another"')
    return response.status == 412, _outcome(response)


def _outcome(response: Response) -> str:
    """Status and error code, in the form of the API, OAuth or S3."""
    body = response.json or {}
    code = body.get("code") or body.get("error") or error_code(response.body)
    return f"{response.status} {_shown(code)}".rstrip()


def _shown(text: object) -> str:
    """Text of the other side, fit for a line of the table."""
    return quoted(" ".join(str(text).split()), 60).replace("|", "/")


def _list(texts: Iterable[str]) -> str:
    return ", ".join(_shown(text or "none") for text in texts)


def _header(response: Response, name: str) -> str:
    return response.headers.get(name, "").strip()


def _query(evidence: Evidence) -> dict[str, list[str]]:
    return parse_qs(urlsplit(evidence.url).query)


def _csv(evidence: Evidence) -> bytes:
    """The beginning of the file without its Content-Encoding."""
    text = b""
    try:
        for piece in decoded([evidence.file.body], _header(evidence.file, "Content-Encoding").lower()):
            text += piece
    except OleriaTransferError as problem:
        if not text:  # otherwise it was cut on purpose
            raise NotSeenError(str(problem)) from None
    return text
