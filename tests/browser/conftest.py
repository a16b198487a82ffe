"""One browser for the session; each test's page keeps its evidence in the test's own folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.browser.browser import Page, chromium
from tests.prefect_server import RunningUp


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def page(browser: Chrome, up: RunningUp, tmp_path: Path) -> Page:
    return Page(browser, up.url, tmp_path / "evidence")
