"""A real browser, and what a person does with it in Airflow's UI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, sync_playwright

from tests.servers.processes import program

from .cluster import Cluster

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def logged_in(cluster: Cluster) -> Iterator[Page]:
    """Airflow's UI, for its admin, who has logged in through the login form."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium", "chromium"), args=FLAGS)
        page = browser.new_page(
            viewport={"width": 1280, "height": 1200}, reduced_motion="reduce", locale="en-GB"
        )
        page.set_default_timeout(60_000)
        user, password = cluster.login()
        page.goto(cluster.url)
        page.get_by_label("Username").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{cluster.url}/")
        yield page
        browser.close()


class ConnectionForm:
    """The dialog below *Admin → Connections* in which a Connection is made or changed.

    :param page: where it is open.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.dialog = page.get_by_role("dialog")
        self.save = self.dialog.get_by_role("button", name="Save")

    def choose(self, connection_type: str) -> None:
        self.input("Connection Type").fill(connection_type)
        self._page.get_by_role("option", name=connection_type, exact=True).click()

    def open(self, section: str) -> None:
        """Open a section of the form, which closes the others."""
        self._trigger(section).click()
        self._content(section).wait_for()

    def labels(self, section: str) -> list[str]:
        """The labels of a section; a star marks what the form insists on."""
        return [" ".join(text.split()) for text in self._content(section).locator("label").all_inner_texts()]

    def input(self, label: str) -> Locator:
        return self._field(label).locator("input, textarea").first

    def help(self, label: str) -> str:
        return self._field(label).locator("[data-part=helper-text]").inner_text()

    def fill(self, values: dict[str, str]) -> None:
        for label, value in values.items():
            self.input(label).fill(value)

    def _trigger(self, section: str) -> Locator:
        return self._page.get_by_role("button", name=section, exact=True)

    def _content(self, section: str) -> Locator:
        item = self.dialog.locator("[data-scope=accordion][data-part=item]")
        return item.filter(has=self._trigger(section)).locator("[data-part=item-content]")

    def _field(self, label: str) -> Locator:
        # Airflow ties the labels of extras to no input, so a field is found by its content.
        named = self._page.locator("label", has_text=re.compile(rf"^{re.escape(label)}\s*\*?\s*$"))
        return self.dialog.locator("[data-scope=field][data-part=root]").filter(has=named)
