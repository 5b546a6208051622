"""Each way to depart from the contract, and no other at the same time."""

from __future__ import annotations

import csv
import io

import pytest

from airflow_provider_oleria.filters import Filter
from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.sandbox.settings import DEPARTURES

from .client import Client


def _audience(client: Client) -> bool:
    return client.mint().status_code == 400 and client.mint(audience=Sandbox.audience).status_code == 200


def _bad_token(client: Client) -> bool:
    return client.get("any", headers={"Authorization": "Bearer none"}).status_code == 403


def _same_url(client: Client) -> bool:
    download_id = client.create()
    return client.url(download_id) == client.get(download_id).json().get("url")


def _forgotten(client: Client) -> bool:
    download_id = client.create()
    url = client.url(download_id)
    return client.get(download_id).status_code == 404 and client.fetch(url).status_code == 200


def _other_signature(client: Client) -> bool:
    url = client.url(client.create())
    tampered = url.replace("X-Other-Signature=", "X-Other-Signature=0")
    return "X-Amz-" not in url and [client.fetch(each).status_code for each in (url, tampered)] == [200, 403]


def _any_signature(client: Client) -> bool:
    return client.fetch(client.url(client.create()) + "0").status_code == 200


def _two_credentials(client: Client) -> bool:
    return client.fetch(client.url(client.create()), Authorization="Bearer one").status_code == 200


def _any_etag(client: Client) -> bool:
    return client.fetch(client.url(client.create()), If_Match='"another"').status_code == 200


def _thresholds(client: Client) -> bool:
    older = [Filter.number("dormantDays").gte(30)]
    rows = csv.DictReader(io.StringIO(client.export(filterBy=older).decode(), newline=""))
    found = {row["dormantDays"] for row in rows if not row["dormantDays"].isdecimal()}
    return bool(found) and found <= {"30+", "50+"}


SEEN = {
    "audience-required": _audience,
    "forbids-bad-tokens": _bad_token,
    "same-url": _same_url,
    "forgets": _forgotten,
    "other-signature": _other_signature,
    "any-signature": _any_signature,
    "two-credentials": _two_credentials,
    "any-etag": _any_etag,
    "thresholds": _thresholds,
}


def _seen(client: Client) -> set[str]:
    return {name for name, look in SEEN.items() if look(client)}


@pytest.mark.parametrize("departure", DEPARTURES)
def test_it_departs_in_this_way_alone(client: Client, departure: str) -> None:
    client.auth  # noqa: B018  # while an audience is not needed
    client.sandbox.settings.update({"departures": [departure]})
    assert _seen(client) == {departure}


def test_it_keeps_the_contract_by_default(client: Client) -> None:
    assert _seen(client) == set()


def test_a_departure_that_does_not_exist(client: Client) -> None:
    with pytest.raises(ValueError, match="setting departures does not take"):
        client.sandbox.settings.update({"departures": ["nonsense"]})
