"""`asr-api calibrate`: what follows from both contexts, where it is kept, and the real command on real recordings."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from asr_api.assembly import shown_for
from asr_api.calibration.command import CannotCalibrate, Wishes, calibrate, error_counter, keep, recordings_in
from asr_api.calibration.comparison import ENOUGH_WORDS, Comparison, compared
from asr_api.calibration.hearing import Hearing
from asr_api.calibration.report import as_text
from asr_api.calibration.words import count_errors
from asr_api.engine.protocol import EngineInfo
from asr_api.fallback import SHORT, WHOLE, audio_context_of
from asr_api.models.calibrations import Calibration, fingerprint, path_of
from asr_api.models.installed import locate_installed
from asr_api.settings import Settings
from asr_api.transcription import Transcription

DATA = Path(__file__).parent / "data"
INFO = EngineInfo("mine", "cpu", "int8", 1, 80, ("en",), fingerprint="f" * 64)
TEN = "red green blue white black brown pink purple gold silver"


def transcription(text: str) -> Transcription:
    return Transcription(text, "transcribe", "en", 1.0, 3.0)


def comparison(whole: Sequence[str], short: Sequence[str], text: str = TEN) -> Comparison:
    """Of recordings in which the same is said, by what was heard in each."""
    recordings = [(Path(f"{number}.flac"), text) for number in range(len(whole))]
    hearings = [Hearing(INFO, [transcription(one) for one in heard], 2.0, 0) for heard in (whole, short)]
    return compared(recordings, hearings[0], hearings[1], count_errors)


class TestVerdict:
    """What the differences show."""

    def test_the_same_words_in_enough_of_them_show_that_short_will_do(self) -> None:
        """The interval is a point at nothing."""
        texts = [TEN] * (ENOUGH_WORDS // 10)
        assert comparison(texts, texts).verdict == "short"

    def test_a_few_words_show_nothing(self) -> None:
        """However alike they are heard."""
        texts = [TEN] * (ENOUGH_WORDS // 10 - 1)
        assert comparison(texts, texts).verdict == "undecided"

    def test_words_lost_beyond_chance_show_that_short_will_not_do(self) -> None:
        """Even where they are few."""
        whole, short = [TEN] * 20, [TEN.removesuffix(" silver")] * 20
        assert comparison(whole, short).verdict == "whole"

    def test_a_wide_interval_shows_nothing(self) -> None:
        """One recording in fifty lost whole is two points, and may be chance."""
        found = comparison([TEN] * 50, [*[TEN] * 49, ""])
        assert found.less.value == pytest.approx(0.02)
        assert found.verdict == "undecided"

    def test_fewer_errors_on_short_contexts_are_no_reason_against_them(self) -> None:
        """The bound is on what is lost."""
        found = comparison([TEN.removesuffix(" silver")] * 40, [TEN] * 40)
        assert found.less.high == pytest.approx(-0.1)
        assert found.verdict == "short"


class TestComparison:
    """What is counted."""

    def test_where_the_text_is_unknown_the_whole_context_is_right(self) -> None:
        """Then its own errors are none, and all that differs counts."""
        found = comparison(["red green"], ["red blue"], text="")
        assert (found.known, found.whole_rate.value, found.short_rate.value) == (0, 0.0, 0.5)

    def test_what_is_no_audio_does_not_count(self) -> None:
        """A file that could not be read has no pair."""
        recordings = [(Path("a.flac"), TEN), (Path("notes.pdf"), "")]
        hearing = Hearing(INFO, [transcription(TEN), None], 1.0, 0)
        assert [pair.path.name for pair in compared(recordings, hearing, hearing, count_errors).pairs] == ["a.flac"]

    def test_the_report_shows_where_most_is_lost(self) -> None:
        """Those recordings come first, with both texts."""
        report = as_text(comparison([TEN, TEN, TEN], [TEN, "red", "red green"]), None)
        assert report.index("1.flac") < report.index("2.flac")
        assert "  short: red\n" in report
        assert "0.flac" not in report


class TestFolder:
    """What is heard."""

    def test_texts_stand_beside_their_recordings(self, tmp_path: Path) -> None:
        """A `.txt` is the text of the recording of its name; hidden files are none."""
        for name in ("b.wav", "a.flac", ".hidden", "a.txt"):
            (tmp_path / name).write_text(" red green\n")
        assert recordings_in(tmp_path) == [(tmp_path / "a.flac", "red green"), (tmp_path / "b.wav", "")]

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        """Before any model is loaded."""
        with pytest.raises(CannotCalibrate, match="no recordings"):
            calibrate(Settings(model="none"), tmp_path, Wishes())

    def test_a_missing_extra_is_said(self) -> None:
        """The sentence has the line to type."""

        def load(name: str) -> Any:
            raise ModuleNotFoundError(name)

        with pytest.raises(CannotCalibrate, match=r"pip install 'asr-api\[calibrate\]'"):
            error_counter(load)
        assert error_counter(importlib.import_module) is count_errors


class TestKeeping:
    """How the service gets to know."""

    def test_auto_is_what_was_shown_for_these_weights(self, tmp_path: Path) -> None:
        """Whatever is known of the model's name, and for no other weights."""
        keep(comparison([TEN] * 40, [TEN] * 40), tmp_path)
        settings = Settings(model="large-v3", model_dir=tmp_path)
        assert shown_for(settings, INFO) == "short"
        assert audio_context_of("auto", "large-v3", shown_for(settings, INFO)) == SHORT
        assert audio_context_of("whole", "large-v3", shown_for(settings, INFO)) == WHOLE
        other = EngineInfo("mine", "cpu", "int8", 1, 80, ("en",), fingerprint="0" * 64)
        assert shown_for(settings, other) is None

    def test_what_lost_words_is_whole_even_for_a_model_that_did_not_lose_ours(self, tmp_path: Path) -> None:
        """The user's recordings count more."""
        keep(comparison([TEN] * 20, ["red"] * 20), tmp_path)
        settings = Settings(model="base", model_dir=tmp_path)
        assert audio_context_of("auto", "base", shown_for(settings, INFO)) == WHOLE

    def test_a_damaged_finding_does_not_count(self, tmp_path: Path) -> None:
        """The service starts as if there were none."""
        path = keep(comparison([TEN] * 40, [TEN] * 40), tmp_path)
        path.write_text("{")
        assert Calibration.read(tmp_path, INFO.fingerprint) is None

    def test_a_folder_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        """With the setting that does the same."""
        (tmp_path / "calibrations").write_text("in the way")
        with pytest.raises(CannotCalibrate, match="ASR_AUDIO_CONTEXT=short"):
            keep(comparison([TEN] * 40, [TEN] * 40), tmp_path)

    def test_other_weights_have_another_fingerprint(self, tmp_path: Path) -> None:
        """Of the same size and the same name, but for one byte at the end; a copy has the same."""
        weights = bytearray(3 << 20)
        for name, last in (("one", 0), ("copy", 0), ("other", 1)):
            (tmp_path / name).mkdir()
            weights[-1] = last
            (tmp_path / name / "model.bin").write_bytes(weights)
        assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "copy")
        assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "other")
        assert fingerprint(tmp_path) == ""


def command(folder: Path, model_dir: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASR_")}
    return subprocess.run(
        [sys.executable, "-m", "asr_api", "calibrate", "--audio", str(folder), "--json", *arguments],
        env=inherited | {"ASR_MODEL_DIR": str(model_dir)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def copied(corpus: str, folder: Path, names: Sequence[str]) -> None:
    """Recordings of the repository with their texts beside them."""
    texts = {entry["file"]: entry["text"] for entry in json.loads((DATA / corpus / "manifest.json").read_text())}
    for name in names:
        shutil.copy(DATA / corpus / name, folder)
        (folder / name).with_suffix(".txt").write_text(texts[name], encoding="utf-8")


@pytest.mark.long
@pytest.mark.e2e
def test_the_call_sign_model_loses_words_on_short_contexts(tmp_path: Path) -> None:
    """It was trained on 30 s alone and has few words to be sure of: that is found and kept for its weights."""
    audio, model_dir = tmp_path / "audio", tmp_path / "models"
    audio.mkdir()
    copied("callsign", audio, [f"en-{n:02}.flac" for n in range(1, 21)] + [f"it-{n:02}.flac" for n in range(1, 5)])
    done = command(audio, model_dir, "--model", "callsign")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"], told["recordings"], told["with_text"]) == (1, "whole", 24, 24)
    assert told["errors"]["whole"] == 0 < told["errors"]["difference"]["low"]
    folder = locate_installed("asr_api.models", "callsign")
    assert folder is not None
    kept = Calibration.read(model_dir, fingerprint(folder))
    assert kept is not None
    assert (kept.audio_context, told["kept"]) == ("whole", str(path_of(model_dir, kept.fingerprint)))


@pytest.mark.long
@pytest.mark.e2e
def test_three_recordings_of_base_show_nothing(tmp_path: Path) -> None:
    """They are heard the same at half the cost, but are too few words: nothing is kept."""
    audio, model_dir = tmp_path / "audio", tmp_path / "models"
    audio.mkdir()
    copied("speech", audio, ["en-jfk.flac", "en-agent-alreadyon.flac", "en-conf-getchannel.flac"])
    done = command(audio, model_dir, "--model", "base", "--offline", "--language", "en")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"], told["kept"]) == (1, "undecided", None)
    assert told["errors"]["whole"] == told["errors"]["short"] == 0
    assert told["engine_seconds"]["short"] < told["engine_seconds"]["whole"]
    assert not (model_dir / "calibrations").exists()
