"""One server that wants a key, with its page, and one Chromium, for all tests of this folder.

The browser's microphone hears a call sign, once.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from asr_api.transcription import SAMPLE_RATE
from tests.e2e.process import ServerProcess, environment
from tests.e2e.recordings import CALLSIGN, wav

KEY = "the-key-that-is-right"
SPOKEN = CALLSIGN["en-02.flac"]
"""What the microphone hears."""

MAX_UPLOAD_BYTES = 32 << 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that asks for the server starts it."""
    for item in items:
        if Path(__file__).parent in item.path.parents and {"server", "page"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("e2e")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    environ = environment(
        tmp_path_factory.mktemp("models"),
        ASR_API_KEYS=f"page:{KEY}",
        ASR_MAX_UPLOAD_BYTES=str(MAX_UPLOAD_BYTES),
        ASR_ENGINE_HANG_TIMEOUT="600",  # tests halt the engine for as long as the page needs
    )
    with ServerProcess("--model", "callsign", "--ui", environ=environ) as server:
        yield server


@pytest.fixture(scope="package")
def api(server: ServerProcess) -> Iterator[httpx2.Client]:
    """Any other client of the same server."""
    with server.client() as client:
        client.headers["authorization"] = f"Bearer {KEY}"
        yield client


@pytest.fixture(scope="package")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A call sign between two seconds of silence."""
    silence = np.zeros(SAMPLE_RATE, np.float32)
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    path.write_bytes(wav(np.concatenate([silence, SPOKEN.samples(), silence])))
    return path


@pytest.fixture(scope="package")
def browser(microphone: Path) -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("the page is tested by Chromium, which is not here (Debian: apt-get install chromium)")
    flags = [
        "--no-sandbox",  # which root may not have
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tests, so that Gradio's scripts are loaded once."""
    with browser.new_context(locale="en-GB", viewport={"width": 1180, "height": 820}) as context:
        context.set_default_timeout(20_000)
        yield context


@pytest.fixture
def page(context: BrowserContext, server: ServerProcess) -> Iterator[Page]:
    """The page, as one finds it who has typed the key."""
    with context.new_page() as page:
        page.goto(f"{server.url}/ui/")
        page.wait_for_selector("html[data-asr=ready]")
        page.get_by_label("API key").fill(KEY)
        yield page
