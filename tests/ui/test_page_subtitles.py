"""The browser writes the very subtitles that the service writes."""

import random
from typing import Any

from playwright.sync_api import Page

from asr_api import subtitles
from asr_api.transcription import Segment

PIECES = (
    "hello", "world,", " ", "  ", "a-->b", "<i>", "&", "\n", "\t", "\u00a0", "\u3000", "naïve", "e\u0301", "\u200b",
    "你好，", "世界。", "「引用」", "ちょっと", "ッ", "カメラ", "สวัสดี", "เท่า", "ครับ", "한국어",
    "😀", "—", "…", "(", ")", "¿", "»",
    "supercalifragilisticexpialidocious", "Donaudampfschifffahrtsgesellschaftskapitän",
)  # fmt: skip


def segment(number: int, chance: random.Random) -> Segment:
    """With times that fall on halves of milliseconds, overlap, or run backwards."""
    start = chance.choice((number * 2.0, number * 1.0005, chance.uniform(0, 20), 0.0625 * number))
    end = start + chance.choice((0.0, 0.0005, 1.5, chance.uniform(0, 9)))
    text = "".join(chance.choices(PIECES, k=chance.randrange(30)))
    return Segment(number, 0, start, end, text, (), 0.0, -0.1, 1.0, 0.0)


def test_every_subtitle_is_the_service_s_own(page: Page) -> None:
    """Cues, clocks, escapes and line breaks, of 400 transcripts in many scripts."""
    chance = random.Random(7)
    transcripts = [[segment(n, chance) for n in range(chance.randrange(7))] for _ in range(400)]
    wire = [[{"start": one.start, "end": one.end, "text": one.text} for one in whole] for whole in transcripts]
    written: list[Any] = page.evaluate(
        """async (transcripts) => {
            const { subtitles } = await import("./page/subtitles.js");
            const { srt, vtt } = subtitles(JSON.parse(document.getElementById("asr-config").textContent).wide);
            return transcripts.map((segments) => [srt(segments), vtt(segments)]);
        }""",
        wire,
    )
    for whole, (srt, vtt) in zip(transcripts, written, strict=True):
        assert srt == subtitles.srt(whole)
        assert vtt == subtitles.vtt(whole)
