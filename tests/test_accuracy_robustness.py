"""Spoiled recordings, choices of audio context, and the drawing: the parts of the accuracy tool that judge them."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from benchmarks.harness.clips import DATA, Clip, read_clips
from tools.accuracy.conditions import DENOISE, NORMALIZE, ConditionRow
from tools.accuracy.context_load import under_load
from tools.accuracy.context_policies import PolicyRow, judge, times_row, trial_rows
from tools.accuracy.context_trials import Bench, Caught, Trial, Tried, chunks_of
from tools.accuracy.contexts import Contexts, Hearing
from tools.accuracy.dots import Dot, Row, draw_dots
from tools.accuracy.heard import Heard
from tools.accuracy.scores import COMPARATORS, OURS, Score
from tools.accuracy.signals import power, read, write_flac
from tools.accuracy.spoiling import CONDITIONS, spoil

from asr_api.engine.protocol import DecodingResult
from asr_api.engine.whisper import WhisperEngine
from asr_api.fallback import AudioContext
from asr_api.models.installed import locate_installed
from asr_api.transcription import SAMPLE_RATE, Samples, TranscriptionOptions, Word

BY_NAME = {condition.name: condition for condition in CONDITIONS}
HERE = sorted(BY_NAME.keys() - {"GSM full rate"})
"""Those that need nothing that this machine may not have."""
SAID = "red green blue white black"
STEPS = AudioContext(steps=(13.0, 20.0), margin=3.0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Two seconds of harmonics that come and go, and six others to talk among."""
    folder = tmp_path_factory.mktemp("clips")
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    made = []
    for number in range(7):
        tones = sum(np.sin(2 * np.pi * (100 + 7 * number) * n * time) / n for n in range(1, 60))
        samples = (0.1 * tones * (1 + np.sin(2 * np.pi * 3 * time))).astype(np.float32)
        path = write_flac(folder / f"{number}.flac", samples)
        made.append(Clip(path, "en", SAID, 2.0))
    return made


def spoiled(clips: list[Clip], name: str, folder: Path, seed: int = 1) -> Samples:
    (made,) = spoil(clips[:1], BY_NAME[name], folder / name.replace("/", "-"), seed, clips)
    return read(made.path)


@pytest.mark.parametrize("name", HERE)
def test_what_is_spoiled_depends_on_the_seed_alone(name: str, clips: list[Clip], tmp_path: Path) -> None:
    """Made twice it is the same to the sample, and it is never silence."""
    first, again = (spoiled(clips, name, tmp_path / folder) for folder in "ab")
    assert np.array_equal(first, again)
    assert power(first) > 1e-4


@pytest.mark.parametrize("kind", ["white noise", "babble"])
@pytest.mark.parametrize("decibels", [20, 0])
def test_noise_is_as_loud_as_it_says(kind: str, decibels: int, clips: list[Clip], tmp_path: Path) -> None:
    """What was added, at whatever level both were written, has the power that the ratio asks for."""
    clean, noisy = read(clips[0].path), spoiled(clips, f"{kind} {decibels} dB", tmp_path)
    level = np.float32(np.dot(noisy, clean) / np.dot(clean, clean))
    added = (noisy / level - clean).astype(np.float32)
    assert 10 * np.log10(power(clean) / power(added)) == pytest.approx(decibels, abs=1.0)


def test_a_telephone_has_nothing_above_four_kilohertz(clips: list[Clip], tmp_path: Path) -> None:
    """The share of the energy there is a hundred times less than before."""

    def above(samples: Samples) -> float:
        energy = np.square(np.abs(np.fft.rfft(samples)))
        return float(energy[len(energy) // 2 :].sum() / energy.sum())

    assert above(spoiled(clips, "G.711 mu-law", tmp_path)) < above(read(clips[0].path)) / 100


@pytest.mark.parametrize(("name", "seconds"), [("half speed", 4.0), ("1.5 times speed", 4 / 3)])
def test_speed_is_that_of_a_tape(name: str, seconds: float, clips: list[Clip], tmp_path: Path) -> None:
    """Half as fast takes twice as long."""
    assert len(spoiled(clips, name, tmp_path)) / SAMPLE_RATE == pytest.approx(seconds, abs=0.01)


def test_a_room_goes_on_after_the_sound(clips: list[Clip], tmp_path: Path) -> None:
    """By its reverberation time, and the whole is as loud as before."""
    wet = spoiled(clips, "reverberation 0.8 s", tmp_path)
    assert len(wet) == pytest.approx(2.8 * SAMPLE_RATE, abs=2)
    assert power(wet[2 * SAMPLE_RATE :]) > 0


def result(text: str, shift: float = 0.0) -> DecodingResult:
    words = tuple(Word(word, n + shift, n + shift + 0.5, 1.0) for n, word in enumerate(text.split()))
    return DecodingResult(text, (1,), "en", 1.0, 0.0, -0.1, 0.0, 1.0, words)


def tried(short: str, *, seconds: float = 5.0, caught: Caught | None = None, context: int = 1300) -> Tried:
    clip = Clip(Path("a.flac"), "en", SAID, seconds)
    return Tried(clip, "clean", seconds, {context: Trial(result(short, 0.04), caught)}, result(SAID))


def test_what_was_caught_is_heard_on_all_30_s() -> None:
    """Its errors are those of the whole context, at the price of both."""
    row = PolicyRow.of(STEPS, [tried("red red red", caught="compression_ratio")], {1300: 1.0, 2000: 2.0, 3000: 4.0})
    assert (row.again, row.less["en"].value, row.engine, row.ran_away) == (1, 0.0, 1.25, 0)


def test_what_stood_counts_with_its_errors() -> None:
    """Five words of nonsense after five of speech are a runaway that nobody caught."""
    judged = judge(STEPS, tried(f"{SAID} {SAID}"))
    assert (judged.words, judged.whole, judged.errors, judged.ran_away) == (5, 0, 5, True)


def test_what_has_no_room_for_the_margin_is_whole() -> None:
    """18 s with three of silence do not fit into 20 s."""
    judged = judge(STEPS, tried("nonsense", seconds=18.0, context=2000))
    assert (judged.short, judged.errors) == (False, 0)


def test_trials_are_told_by_their_silence() -> None:
    """5 s on 13 s leave 8 s of it; 12.5 s leave half a second."""
    found = [tried(SAID), tried("red", caught="avg_logprob", seconds=12.5)]
    rows = {(row.least, row.most): row for row in trial_rows(found, [1300]) if row.trials}
    assert {bounds: dict(row.caught) for bounds, row in rows.items()} == {
        (5.0, 30.0): {},
        (0.0, 1.0): {"avg_logprob": 1},
    }


def test_word_times_are_compared_where_the_words_are_the_same() -> None:
    """0.04 s later at both ends, by five words of one recording; the other has other words."""
    row = times_row([tried(SAID), tried("red")], 1300)
    assert row.words == 5
    assert [row.start_median, row.end_p95] == pytest.approx([0.04, 0.04])


def scores(heard: str, count: int = 4) -> list[Score]:
    return [Score.of(Clip(Path("a.flac"), "en", SAID, 3.0), Heard(heard, "en"))] * count


def test_ours_is_held_to_the_best_of_the_others() -> None:
    """The one with the fewest errors, whatever its name; cleaning is held to ours without it."""
    sides = dict.fromkeys((OURS, DENOISE, NORMALIZE, *COMPARATORS), scores("red green blue white"))
    row = ConditionRow.of("noise", sides | {COMPARATORS[1]: scores(SAID), DENOISE: scores("red green blue")})
    assert row.best == COMPARATORS[1]
    assert [row.less.value, row.denoised.value, row.normalized.value] == pytest.approx([0.2, 0.2, 0.0])


def test_a_recording_under_many_conditions_counts_as_one() -> None:
    """What is hard in it is hard under each: twice the same is no more certain than once."""
    heard = [*scores(SAID, 3), *scores("red green", 2)]
    sides = dict.fromkeys((OURS, DENOISE, NORMALIZE, *COMPARATORS), heard)
    once, twice = ConditionRow.of("noise", sides), ConditionRow.of("all", sides, sides)
    assert (twice.recordings, twice.words) == (once.recordings, 2 * once.words)
    assert twice.errors[OURS] == once.errors[OURS]


def test_the_drawing_has_a_dot_for_each_side_in_each_row() -> None:
    """It is XML that can be read, with the names as they are."""
    rows = [Row("noise <0 dB>", [Dot(10.0, (5.0, 20.0)), Dot(12.0)]), Row("clean", [Dot(1.0), Dot(2.0)])]
    root = ElementTree.fromstring(draw_dots("errors", ("ours", "theirs"), rows))
    circles = root.findall("{*}circle")
    assert len(circles) == 2 + 4
    assert "noise <0 dB>" in [text.text for text in root.findall("{*}text")]


def contexts(text: str, *heard: str) -> Contexts:
    """Eight recordings, on all 30 s and on less."""
    clips = [Clip(Path(f"{number}.flac"), "en", text, 3.0) for number in range(8)]
    return Contexts(clips, *(Hearing([Heard(one, "en")] * 8, 1.0, 1.0, 1.0, 0) for one in heard))


def test_short_contexts_are_judged_where_it_is_known_what_was_said() -> None:
    """A word less is one lost there; elsewhere it may have been one too many."""
    assert contexts(SAID, SAID, "red green").missed == ["short contexts make 60.0 points more word errors"]
    assert contexts(SAID, SAID, SAID).missed == []
    unknown = contexts("", SAID, "red green")
    assert unknown.missed == []
    assert "0.flac" in str(unknown)


@pytest.fixture(scope="module")
def engine() -> Iterator[WhisperEngine]:
    folder = locate_installed("asr_api.models", "callsign")
    assert folder is not None
    engine = WhisperEngine(folder, name="callsign", device="cpu", compute_type="float32")
    yield engine
    engine.close()


def test_each_chunk_is_tried_on_each_context_that_holds_it(engine: WhisperEngine) -> None:
    """By the real engine: on 30 s the words are right, and what does not fit is not tried."""
    clips = read_clips(DATA / "callsign" / "manifest.json")[:3]
    heard = chunks_of(clips, "clean", engine.info.n_mels)
    longest = max(one.chunk.features.shape[1] for one in heard)
    bench = Bench(engine, TranscriptionOptions(), 5)
    found = bench.try_all(heard, (longest - longest % 2 - 2, 1300))
    assert [one.whole.text.strip() for one in found] == [clip.text for clip in clips]
    assert [1300 in one.trials for one in found] == [True] * 3
    assert not all(longest - longest % 2 - 2 in one.trials for one in found)
    assert bench.cost[1300] < bench.cost[3000]


def test_contexts_of_one_kind_share_calls(engine: WhisperEngine) -> None:
    """Ten chunks at once through the real queue: each is decoded, in calls of eight at most."""
    clips = read_clips(DATA / "callsign" / "manifest.json")[:10]
    chunks = [one.chunk for one in chunks_of(clips, "clean", engine.info.n_mels)]
    row = under_load(engine, chunks, STEPS, 1)
    assert row.chunks == 10
    assert 2 <= row.calls <= 4
