"""Headless Chromium, and the dashboard's pages as a person uses them: words on the screen, clicks, keys.

Debian's Chromium and ChromeDriver, given by their paths, so that selenium downloads nothing. Every wait is for
something to be seen. What goes wrong says where the screenshot and the text of the page are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
    TimeoutException,
    WebDriverException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests import peers

SEEN_WITHIN_S = 60
AT_REST_WITHIN_S = 10
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en-GB"),
)


@contextmanager
def chromium(folder: Path, size: tuple[int, int] = (1500, 1000)) -> Iterator[Chrome]:
    """A browser with a new profile below `folder`."""
    options = ChromeOptions()
    options.binary_location = peers.binary("chromium")
    for flag in (*_FLAGS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(peers.binary("chromedriver")))
    try:
        driver.set_page_load_timeout(SEEN_WITHIN_S)
        yield driver
    finally:
        driver.quit()


class Page:
    """The browser's page. `url`: where the dashboard is; `evidence`: where screenshot and text go when a wait fails."""

    def __init__(self, driver: Chrome, url: str, evidence: Path) -> None:
        self.driver, self.url, self._evidence = driver, url, evidence

    def open(self, path: str = "/") -> None:
        self.driver.get(self.url + path)

    @property
    def text(self) -> str:
        """What can be read on the page."""
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    # --- waiting ---

    def until(self, true: Callable[[], Any], what: str, within_s: float = SEEN_WITHIN_S) -> Any:
        """Wait until `true` is; what it gave. A page that is being drawn anew is asked again."""
        waiting = WebDriverWait(
            self.driver, within_s, poll_frequency=0.1, ignored_exceptions=[StaleElementReferenceException]
        )
        try:
            return waiting.until(lambda _: true())
        except TimeoutException:
            pytest.fail(f"{what}: not within {within_s:.0f} s. {self.keep('page')}")

    def at_rest(self) -> None:
        """Wait until the picture stays the same, or some seconds: the clock of a run that waits moves on."""
        shown: list[bytes] = []

        def same(_: object) -> bool:
            shown.append(self.driver.get_screenshot_as_png())
            return len(shown) > 3 and shown[-1] == shown[-2] == shown[-3]

        with suppress(TimeoutException):
            WebDriverWait(self.driver, AT_REST_WITHIN_S, poll_frequency=0.5).until(same)

    def to_top(self) -> None:
        self.driver.execute_script("for (const one of document.querySelectorAll('*')) one.scrollTop = 0")

    def see(self, text: str, within_s: float = SEEN_WITHIN_S) -> None:
        self.until(lambda: text in self.text, f"to read {text!r}", within_s)

    def keep(self, name: str) -> str:
        """Save screenshot and text of the page; where they are."""
        self._evidence.mkdir(parents=True, exist_ok=True)
        picture, text = self._evidence / f"{name}.png", self._evidence / f"{name}.txt"
        try:
            self.driver.save_screenshot(str(picture))
            text.write_text(f"{self.driver.current_url}\n\n{self.text}\n", encoding="utf-8")
        except WebDriverException as error:
            return f"The page could not be kept: {error.msg}"
        return f"Screenshot and text of the page: {picture}, {text}"

    # --- finding and doing ---

    def _shown(self, css: str, text: str | None) -> WebElement | None:
        for one in self.driver.find_elements(By.CSS_SELECTOR, css):
            if one.is_displayed() and (text is None or one.text.strip() == text):
                return one
        return None

    def find(self, css: str, text: str | None = None, within_s: float = SEEN_WITHIN_S) -> WebElement:
        """The first visible element; `text`: its own, whole."""
        found: WebElement = self.until(lambda: self._shown(css, text), f"to find {css} {text or ''}".strip(), within_s)
        return found

    def click(self, css: str, text: str | None = None, within_s: float = SEEN_WITHIN_S) -> None:
        """A click of the mouse, as soon as it is there and nothing lies over it."""

        def clicked() -> bool:
            one = self._shown(css, text)
            if one is None:
                return False
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", one)
            try:
                one.click()
            except (ElementClickInterceptedException, ElementNotInteractableException):
                return False
            return True

        self.until(clicked, f"to click {css} {text or ''}".strip(), within_s)

    def type(self, css: str, text: str) -> None:
        """Into a field, instead of what is in it."""
        field = self.find(css)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def choose(self, field: str, value: str) -> None:
        """In a form: the value out of the list of the field with this label, on the tab that is open."""

        def chosen() -> bool:
            for one in self.driver.find_elements(By.CSS_SELECTOR, ".schema-form-property"):
                label = one.find_element(By.CSS_SELECTOR, ".schema-form-property__label").text
                if label.removesuffix(" (Optional)") != field:
                    continue
                for control in one.find_elements(By.TAG_NAME, "select"):
                    found = Select(control)
                    if value in [option.text.strip() for option in found.options]:
                        found.select_by_visible_text(value)
                        return True
            return False

        self.until(chosen, f"to choose {value!r} as {field}")

    def tab(self, name: str) -> None:
        self.click(".p-tab", name)
