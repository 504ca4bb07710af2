"""`make screenshots`: takes the README's pictures of a running dashboard."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM
from tests.browser.stack import Stack
from tests.browser.test_dashboard import fill
from tests.support.stream import ROOT

DOCS = ROOT / "docs"
_WITHIN_MS = 30_000


def main() -> int:
    """Takes the pictures.

    Returns:
        Exit status: 0 after success, 1 without Chromium.
    """
    if CHROMIUM is None:
        sys.stderr.write("error: Chromium is not installed: apt install chromium\n")
        return 1
    folder = Path(tempfile.mkdtemp(prefix="screenshots-"))
    stack = Stack(folder, "wrapper.KmnistClassifier")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            _take(stack, browser)
    finally:
        stack.end()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _take(stack: Stack, browser: Browser) -> None:
    page = _page(stack, browser, "light")
    _use_page(page)
    _take_picture(page, "dashboard-light.png")
    dark = _page(stack, browser, "dark")
    dark.wait_for_timeout(2000)
    _take_picture(dark, "dashboard-dark.png")


def _page(stack: Stack, browser: Browser, scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": 1400, "height": 1000},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(stack.url)
    return page


def _use_page(page: Page) -> None:
    """Starts a load, kills a worker, and sends a sample, for the pictures to show."""
    page.locator(".card[data-state=ready]").nth(1).wait_for(timeout=_WITHIN_MS)
    fill(page, "messages/s", 120)
    fill(page, "messages", 2400)
    fill(page, "bad, %", 2)
    page.get_by_role("button", name="Start load").click()
    page.wait_for_timeout(8000)
    page.locator(".card").first.get_by_role("button", name="kill -9").click()
    page.locator(".card.is-gone").first.wait_for(timeout=_WITHIN_MS)
    page.wait_for_timeout(9000)
    page.get_by_role("tab", name="samples").click()
    page.get_by_role("button", name=re.compile("^Send sample")).nth(3).click()
    expect(page.locator(".turned figure")).to_have_count(1)
    expect(page.get_by_text("2400 acknowledged")).to_be_visible(timeout=_WITHIN_MS)
    expect(page.locator(".result", has_text="sample_3.png")).to_be_visible(timeout=_WITHIN_MS)


def _await_pictures(page: Page) -> None:
    page.wait_for_function(
        "[...document.querySelectorAll('.result img')].every((each) => each.naturalWidth > 0)"
    )


def _take_picture(page: Page, name: str) -> None:
    _await_pictures(page)
    page.screenshot(path=DOCS / name, full_page=True)
    sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    sys.exit(main())
