"""Fixtures of the browser tests: one stack and one browser for all, and a page for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.stack import Stack
from tests.support.patience import patient

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NewPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Makes one process run all browser tests, because they share a stack."""
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    expect.set_options(timeout=1000 * patient(5))
    with sync_playwright() as playwright:
        # Without its sandbox it also runs as root; it only opens pages of this machine.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stack]:
    """A cluster, two replicas and a page."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.end()


@pytest.fixture
def new_page(stack: Stack, browser: Browser) -> Iterator[NewPage]:
    """Opens pages, such as `new_page(width=390)`; an exception in a page fails the test."""
    contexts: list[BrowserContext] = []
    thrown: list[str] = []

    def make(url: str = "", width: int = 1400, height: int = 1000, **options: str) -> Page:
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
        context.set_default_timeout(1000 * patient(30))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: thrown.append(str(error)))
        page.goto(url or stack.url)
        return page

    yield make
    for context in contexts:
        context.close()
    assert thrown == []


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A page that shows workers."""
    page = new_page()
    page.locator(".card[data-state=ready], .card[data-state=working]").nth(1).wait_for()
    return page
