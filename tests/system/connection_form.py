"""The Connection's form, as a person meets it: a real browser in front of a real API server.

Run by ``make test-ui``, which also takes the pictures of the documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from airflow_provider_oleria.connection import form as connection_form
from airflow_provider_oleria.connection.settings import DEFAULT_SCOPE
from airflow_provider_oleria.sandbox import Sandbox
from tests.servers.postgres import Postgres
from tests.servers.processes import until

from .browser import ConnectionForm, logged_in
from .cluster import Cluster
from .scenario import RESULTS, STATES, assert_no_secret_written

pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).parent
IMAGES = HERE.parent.parent / "docs" / "images"

STANDARD, EXTRA = "Standard Fields", "Extra Fields"

SIDE_PANEL = {
    STANDARD: {
        "API URL": "https://devx.example.oleria.io",
        "Client ID": "7c2m5qk0v8d1tq4h3n6rs9u2ab",
        "Client secret": "as Oleria shows it",
    },
    EXTRA: {
        "Authentication URL": "https://example.auth.us-east-1.amazoncognito.com/oauth2/token",
        "Audience": "https://api.example.com",
    },
}
"""What Oleria shows for an OAuth application, in the sections of Airflow's form."""


@pytest.fixture(scope="module")
def cluster(folder: Path, postgres: Postgres) -> Iterator[Cluster]:
    settings = {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled", "OLERIA_TEST_LAKE": str(folder / "lake")}
    cluster = Cluster(folder / "ui", postgres, HERE / "dags", settings)
    try:
        cluster.start()
        cluster.add_pool("few", 8)  # which dags/exports.py has its deferred tasks in
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def page(cluster: Cluster) -> Iterator[Page]:
    expect.set_options(timeout=60_000)
    with logged_in(cluster) as page:
        page.get_by_role("button", name="Admin").click()
        page.get_by_role("menuitem", name="Connections").click()
        yield page


@pytest.fixture
def form(page: Page) -> ConnectionForm:
    page.get_by_role("button", name="Add Connection").click()
    form = ConnectionForm(page)
    form.choose("Oleria")
    return form


def test_the_form_speaks_the_language_of_oleria_s_side_panel(form: ConnectionForm) -> None:
    picture(form.dialog, "connection-empty")
    assert form.labels(STANDARD) == ["Description", "API URL", "Client ID", "Client secret"]
    expect(form.input("API URL")).to_have_attribute("placeholder", "https://devx.<tenant>.oleria.io")
    expect(form.input("Client secret")).to_have_attribute("type", "password")

    form.open(EXTRA)
    picture(form.dialog, "connection-empty-extra")
    assert form.labels(EXTRA) == ["Authentication URL *", "Audience", "Scope", "Timeout", "CA bundle"]
    assert DEFAULT_SCOPE in form.help("Scope")
    for extra in connection_form.EXTRAS.values():
        assert form.help(extra.label) == extra.help


def test_the_form_insists_on_the_authentication_url(form: ConnectionForm) -> None:
    form.fill({"Connection ID": "oleria_incomplete", **SIDE_PANEL[STANDARD]})
    expect(form.save).to_be_disabled()

    form.open(EXTRA)
    form.fill(SIDE_PANEL[EXTRA])
    expect(form.save).to_be_enabled()


def test_a_connection_made_and_corrected_in_the_form_runs_a_dag(
    page: Page, form: ConnectionForm, cluster: Cluster, sandbox: Sandbox
) -> None:
    form.fill({"Connection ID": "oleria_default", **SIDE_PANEL[STANDARD]})
    picture(form.dialog, "connection-filled")
    form.open(EXTRA)
    form.fill(SIDE_PANEL[EXTRA])
    picture(form.dialog, "connection-filled-extra")
    save(form)
    expect(row(page, "oleria_default")).to_contain_text("devx.example.oleria.io")
    picture(page.get_by_role("table"), "connection-saved")

    edit(page, "oleria_default")
    form.fill(
        {"API URL": sandbox.api_url, "Client ID": sandbox.client_id, "Client secret": sandbox.client_secret}
    )
    form.open(EXTRA)
    form.fill({"Authentication URL": sandbox.auth_url, "Timeout": "30"})
    save(form)

    stored = cluster.connection("oleria_default")
    assert (stored["host"], stored["login"], stored["password"], stored["port"], stored["schema"]) == (
        sandbox.api_url,
        sandbox.client_id,
        sandbox.client_secret,
        None,
        None,
    )
    assert json.loads(stored["extra"]) == {
        "auth_url": sandbox.auth_url,
        "audience": SIDE_PANEL[EXTRA]["Audience"],
        "scope": None,
        "timeout": 30,
        "verify": None,
    }
    saved = run(cluster, "exports_1_1", "with_the_form_s_connection")
    assert len(saved) == 2
    for export in saved:
        expected = sandbox.expected(export["download_id"])
        assert Path(export["path"].removeprefix("file://")).read_bytes() == expected.path.read_bytes()
    assert_no_secret_written(sandbox, cluster)


def test_an_edit_leaves_alone_what_it_does_not_show(page: Page, cluster: Cluster, sandbox: Sandbox) -> None:
    fields = json.loads(sandbox.connection_json())
    fields["extra"]["note"] = "of our own"
    cluster.add_connection(json.dumps(fields), "oleria_with_extras")
    page.reload()

    edit(page, "oleria_with_extras")
    form = ConnectionForm(page)
    form.open(EXTRA)
    form.fill({"Audience": "https://another.example.com"})
    save(form)

    stored = json.loads(cluster.connection("oleria_with_extras")["extra"])
    assert stored == {**fields["extra"], "audience": "https://another.example.com"}


def test_the_test_button_distinguishes_a_good_connection_from_a_bad_one(
    page: Page, cluster: Cluster, sandbox: Sandbox
) -> None:
    good = json.loads(sandbox.connection_json())
    # Airflow 3.3.1 and 3.3.2 refuse to test any Connection without a port (apache/airflow#73298).
    good["port"] = int(sandbox.api_url.rpartition(":")[2])
    bad = {**good, "extra": {**good["extra"], "auth_url": "https://auth.oleria.invalid/oauth2/token"}}
    cluster.add_connection(json.dumps(good), "oleria_good")
    cluster.add_connection(json.dumps(bad), "oleria_bad")
    page.reload()

    assert press_test(page, "oleria_good")["status"] is True
    answer = press_test(page, "oleria_bad")
    assert answer["status"] is False
    assert "auth.oleria.invalid: its name cannot be resolved" in answer["message"]
    expect(page.get_by_text(answer["message"])).to_be_visible()
    picture(
        page.locator("[data-scope=toast][data-part=root]", has_text=answer["message"]), "connection-refused"
    )
    assert_no_secret_written(sandbox, cluster)


def picture(what: Locator, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    what.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


def row(page: Page, conn_id: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_text(conn_id, exact=True))


def edit(page: Page, conn_id: str) -> None:
    row(page, conn_id).get_by_role("button", name="Edit Connection").click()


def save(form: ConnectionForm) -> None:
    form.save.click()
    form.dialog.wait_for(state="hidden")


def press_test(page: Page, conn_id: str) -> dict[str, Any]:
    with page.expect_response("**/connections/test") as answer:
        row(page, conn_id).get_by_role("button", name="Test Connection").click()
    return answer.value.json()


def run(cluster: Cluster, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Run a DAG to its end; returns what its tasks have saved."""
    cluster.trigger(dag_id, run_id)

    def succeeded() -> bool:
        states = {state for *_, state in cluster.rows(STATES, dag_id, run_id)}
        assert "failed" not in states
        return states == {"success"}

    until(succeeded, "all tasks have succeeded")
    return [value for (value,) in cluster.rows(RESULTS, dag_id, run_id, ("here", "deferred"))]
