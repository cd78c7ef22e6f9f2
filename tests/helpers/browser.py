"""A headless Chromium for the tests of pages, if it is installed."""

import base64
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

Browser = webdriver.Chrome

SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,1000",
)  # fmt: skip


@contextmanager
def open_chromium(profile: Path) -> Iterator[Browser]:
    """Open a browser with an empty profile; skip the test if Debian's packages are not installed."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium to look at pages with: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    opened = Browser(options=options, service=Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


def take_screenshot(browser: Browser, *, dark: bool = False, media: str = "screen") -> NDArray[np.uint8]:
    """Take a screenshot of the window; shape (H, W, 3)."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": scheme})
    png = base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def read_console(browser: Browser) -> list[str]:
    """Read the console messages since the last call."""
    return [str(entry) for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]  # selenium's
