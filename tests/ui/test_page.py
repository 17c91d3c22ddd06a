"""The page, driven by a real browser, against the real server on the bundled model."""

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import srt  # type: ignore[import-untyped]
import webvtt
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from asr_api.engine.protocol import WORKERS
from tests.e2e.process import Counters, ServerProcess
from tests.e2e.recordings import CALLSIGN, CLOSE, joined, wav, words
from tests.faults.processes import descendants
from tests.ui.conftest import KEY, MAX_UPLOAD_BYTES, SPOKEN

CLIP = CALLSIGN["en-01.flac"]
OTHER = CALLSIGN["zh-01.flac"]


def card_of(page: Page, name: str) -> Locator:
    return page.locator("article", has=page.get_by_role("heading", name=name))


def choose(page: Page, *files: Path) -> None:
    page.set_input_files("#asr-file", list(files))


def finished(card: Locator, state: str = "done") -> Locator:
    expect(card).to_have_attribute("data-state", state, timeout=20_000)
    return card


def transcript(card: Locator) -> str:
    return card.locator(".asr-transcript").inner_text()


@pytest.fixture(scope="module")
def five_minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough to see it at work."""
    samples, _ = joined(5, CLOSE, seed=3)
    path = tmp_path_factory.mktemp("recordings") / "long.wav"
    path.write_bytes(wav(samples))
    return path


def test_a_file_gives_its_words(page: Page) -> None:
    """One that is chosen is transcribed with no option touched, and what was found out is said."""
    choose(page, CLIP.path)
    card = finished(card_of(page, CLIP.name))
    assert words(transcript(card)) == words(CLIP.text)
    expect(card.get_by_role("status")).to_contain_text("English")


def test_two_files_give_theirs(page: Page) -> None:
    """Each has its own place and its own words."""
    choose(page, CLIP.path, OTHER.path)
    for recording in (CLIP, OTHER):
        card = finished(card_of(page, recording.name))
        assert words(transcript(card), recording.language) == words(recording.text, recording.language)


def test_what_is_said_into_the_microphone_is_written(page: Page) -> None:
    """From the browser's own recording to the right words."""
    page.get_by_role("button", name="Record", exact=True).click()
    seconds = len(SPOKEN.samples()) // 16_000 + 2
    expect(page.locator(".asr-time")).to_have_text(re.compile(f"0:0[{seconds}-9]"), timeout=15_000)
    page.get_by_role("button", name="Stop recording").click()
    card = finished(card_of(page, "Recording 1"))
    assert words(transcript(card)) == words(SPOKEN.text)


def test_words_come_while_the_rest_is_worked_on_and_cancel_frees_the_engine(
    page: Page, five_minutes: Path, api: httpx2.Client
) -> None:
    """Segments, a bar in seconds of audio, and an end when it is wanted: nothing is left in the service."""
    choose(page, five_minutes)
    card = card_of(page, "long.wav")
    expect(page.locator("article[data-state=running] .asr-word").first).to_be_visible(timeout=20_000)
    assert float(str(card.get_by_role("progressbar").get_attribute("value"))) > 0
    assert float(str(card.get_by_role("progressbar").get_attribute("max"))) > 300
    expect(card.get_by_role("status")).to_contain_text(" of 5:")
    card.get_by_role("button", name="Cancel").click()
    finished(card, "cancelled")
    kept = len(words(transcript(card)))
    assert kept
    in_flight = [f'asr_requests_in_flight{{phase="{phase}"}}' for phase in ("decode", "queue", "inference", "response")]
    assert any(not any(counters[name] for name in in_flight) for counters in (Counters(api) for _ in range(200)))
    choose(page, CLIP.path)
    finished(card_of(page, CLIP.name))
    assert len(words(transcript(card))) == kept


@contextmanager
def halted(engine: int) -> Iterator[None]:
    """A process that does nothing meanwhile."""
    os.kill(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine, signal.SIGCONT)


def within(counters: Counters) -> float:
    """Requests that wait for the engine or are in it."""
    return sum(counters[f'asr_requests_in_flight{{phase="{phase}"}}'] for phase in ("queue", "inference"))


def one_waits(api: httpx2.Client) -> bool:
    """Whether a request waits, and not just on its way into the engine."""
    return all(Counters(api)['asr_requests_in_flight{phase="queue"}'] for _ in range(50))


def test_the_place_in_the_queue_is_shown(page: Page, server: ServerProcess, api: httpx2.Client) -> None:
    """Whoever waits is told how many are before him, and then has his words."""
    (engine,) = (pid for pid, command in descendants(server.pid).items() if "asr_api.engine.child" in command)
    body = {"file": CLIP.path.read_bytes()}
    with ThreadPoolExecutor() as others, halted(engine):
        answers: list[Future[httpx2.Response]] = []
        while not one_waits(api):  # a call for a request that was cancelled may still hold a place in the engine
            assert len(answers) <= WORKERS
            answers.append(others.submit(api.post, "/transcribe", files=body))
            assert any(within(Counters(api)) == len(answers) for _ in range(2000))
        choose(page, CLIP.path)
        card = card_of(page, CLIP.name)
        expect(card.get_by_role("status")).to_have_text("Waiting: 1 request is before this one")
        os.kill(engine, signal.SIGCONT)
        assert words(transcript(finished(card))) == words(CLIP.text)
        assert {answer.result().status_code for answer in answers} == {200}


def test_a_wrong_key_is_refused_with_a_sentence(page: Page) -> None:
    """The page works without a key, the API does not; with the right one, the same file is tried again."""
    page.get_by_label("API key").fill("not-the-key")
    choose(page, CLIP.path)
    card = finished(card_of(page, CLIP.name), "failed")
    expect(card.get_by_role("alert")).to_contain_text("This API key is not right. Type the key")
    expect(page.get_by_label("API key")).to_be_focused()
    page.get_by_label("API key").fill(KEY)
    card.get_by_role("button", name="Try again").click()
    finished(card)


def test_no_key_is_asked_for_before_anything_is_sent(page: Page) -> None:
    """Nothing is uploaded in vain."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.get_by_label("API key").fill("")
    choose(page, CLIP.path)
    card = finished(card_of(page, CLIP.name), "failed")
    expect(card.get_by_role("alert")).to_contain_text("wants an API key")
    assert not [url for url in sent if url.endswith("/transcribe")]


def test_a_text_file_that_is_dropped_is_refused_with_a_sentence(page: Page) -> None:
    """What to drop instead is said; the service's own words are below."""
    dropped = page.evaluate_handle(
        "() => { const data = new DataTransfer(); data.items.add(new File(['not audio'], 'notes.txt')); return data; }"
    )
    page.dispatch_event(".asr-drop", "drop", {"dataTransfer": dropped})
    card = finished(card_of(page, "notes.txt"), "failed")
    expect(card.get_by_role("alert")).to_contain_text("This is not audio that can be read here. Drop a recording")
    expect(card.get_by_role("alert")).to_contain_text("request ")


def test_a_file_over_the_limit_is_refused_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    """The limits are on the page, and hold on it."""
    expect(page.locator("#asr-limits")).to_have_text(
        "Up to 32 MB and 4 hours of audio a file; an answer within 1 hour."
    )
    big = tmp_path / "big.wav"
    big.write_bytes(bytes(MAX_UPLOAD_BYTES + 1))
    choose(page, big)
    card = finished(card_of(page, "big.wav"), "failed")
    expect(card.get_by_role("alert")).to_contain_text("This file is larger than 32 MB. Cut it")


def downloaded(page: Page, card: Locator, form: str) -> bytes:
    with page.expect_download() as download:
        card.get_by_role("button", name=f"Download {form}").click()
    assert download.value.suggested_filename == f"en-01.{form}"
    return Path(download.value.path()).read_bytes()


def asked(api: httpx2.Client, form: str) -> httpx2.Response:
    return api.post("/transcribe", files={"file": CLIP.path.read_bytes()}, data={"response_format": form})


def test_downloads_are_what_the_service_gives(page: Page, api: httpx2.Client) -> None:
    """SubRip and WebVTT parse, and are the API's own to the byte; so are the text and the segments."""
    choose(page, CLIP.path)
    card = finished(card_of(page, CLIP.name))
    files = {form: downloaded(page, card, form).decode() for form in ("txt", "srt", "vtt", "json")}
    assert files["txt"] == asked(api, "text").text
    assert files["srt"] == asked(api, "srt").text
    assert files["vtt"] == asked(api, "vtt").text
    assert words(" ".join(cue.content for cue in srt.parse(files["srt"]))) == words(CLIP.text)
    assert words(" ".join(cue.text for cue in webvtt.from_string(files["vtt"]).captions)) == words(CLIP.text)
    got, expected = json.loads(files["json"]), asked(api, "verbose_json").json()
    assert [word.pop("words") for word in got["segments"]]
    for field in ("text", "language", "duration", "segments"):
        assert got[field] == expected[field]


def watch(page: Page) -> None:
    """Have the page keep each word that lights up until the recording has ended."""
    page.evaluate(
        """() => {
            const lit = [];
            const look = () => {
                const now = document.querySelector(".asr-now");
                if (now && lit.at(-1) !== now.textContent) lit.push(now.textContent);
            };
            new MutationObserver(look).observe(document, { subtree: true, attributeFilter: ["class"] });
            const audio = document.querySelector("audio");
            window.played = new Promise((done) => audio.addEventListener("ended", () => done(lit)));
        }"""
    )


def test_words_light_up_and_a_click_jumps(page: Page) -> None:
    """The recording plays from the word that was clicked, and the words follow it to the end."""
    choose(page, CLIP.path)
    card = finished(card_of(page, CLIP.name))
    watch(page)
    card.locator(".asr-word").nth(3).click()
    assert page.evaluate("window.played") == words(CLIP.text)[3:]


def test_the_keyboard_is_enough(page: Page) -> None:
    """From the drop zone on, and from word to word."""
    with page.expect_file_chooser() as chooser:
        page.locator("#asr-file").press("Space")
    chooser.value.set_files(CLIP.path)
    card = finished(card_of(page, CLIP.name))
    watch(page)
    card.locator(".asr-transcript").focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.evaluate("window.played") == words(CLIP.text)[2:]


def test_words_that_are_less_sure_are_marked(page: Page) -> None:
    """Below one half, with the number where one points."""
    page.evaluate(
        """async () => {
            const { Transcript } = await import("./page/transcript.js");
            const shown = new Transcript(new Audio(), "test", (name, { percent }) => `${percent} % sure`);
            const word = (word, probability) => ({ word, probability, start: 0, end: 1 });
            shown.add({ words: [word(" kilo", 0.93), word(" nine", 0.38)] });
            document.querySelector(".asr-list").append(shown.element);
        }"""
    )
    expect(page.locator(".asr-unsure")).to_have_text("nine")
    assert page.get_by_title("38 % sure").inner_text() == "nine"


def test_options_reach_the_service(page: Page) -> None:
    """What is chosen is what is asked; what is left alone is left out."""
    page.get_by_role("button", name="Options").click()
    page.get_by_label("Language").click()
    page.get_by_role("option", name="German", exact=True).click()
    page.get_by_label("Translate to English").check()
    page.get_by_label("Hotwords").fill("alpha, kilo")
    page.get_by_label("Word times").uncheck()
    page.get_by_label("Reduce noise").check()
    page.evaluate(
        """() => {
            const send = XMLHttpRequest.prototype.send;
            XMLHttpRequest.prototype.send = function (form) {
                window.sent = Object.fromEntries([...form].filter(([name]) => name !== "file"));
                send.call(this, form);
            };
        }"""
    )
    choose(page, CLIP.path)
    finished(card_of(page, CLIP.name))
    assert page.evaluate("sent") == {
        "language": "de", "task": "translate", "hotwords": "alpha, kilo", "word_timestamps": "false",
        "denoise": "true", "stream": "sse",
    }  # fmt: skip


@pytest.fixture
def strict_page(browser: Browser, server: ServerProcess) -> Any:
    """What a page asks for and complains of, from its first byte on; a phone, in Chinese, at night."""
    with browser.new_context(
        locale="zh-CN", viewport={"width": 390, "height": 780}, color_scheme="dark", has_touch=True
    ) as context:
        page = context.new_page()
        asked: list[str] = []
        said: list[ConsoleMessage] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message))
        page.goto(f"{server.url}/ui/")
        page.wait_for_selector("html[data-asr=ready]")
        yield page, asked, said


def test_a_phone_in_chinese_at_night(strict_page: tuple[Page, list[str], list[ConsoleMessage]]) -> None:
    """Labels in the browser's language, nothing wider than the screen, dark where that is wanted."""
    page, _, _ = strict_page
    expect(page.locator(".asr-drop")).to_contain_text("将音频或视频拖到这里")
    page.get_by_role("button", name="选项").click()
    expect(page.get_by_label("语言")).to_have_value("自动识别")
    page.get_by_label("API 密钥").fill(KEY)
    choose(page, OTHER.path)
    card = finished(card_of(page, OTHER.name))
    expect(card.get_by_role("status")).to_contain_text("中文")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") < "rgb(40"
    assert page.evaluate("document.documentElement.lang") == "zh"


def test_no_request_leaves_the_service(
    strict_page: tuple[Page, list[str], list[ConsoleMessage]], server: ServerProcess
) -> None:
    """The page needs no network but its own service, and nothing in it breaks its policy."""
    page, asked, said = strict_page
    page.wait_for_load_state("networkidle")
    own = urlsplit(server.url).netloc
    assert {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))} == {own}
    assert {urlsplit(url).path.split("/")[1] for url in asked if url.startswith("http")} == {"ui"}
    assert [message.text for message in said if message.type in ("error", "warning")] == []
