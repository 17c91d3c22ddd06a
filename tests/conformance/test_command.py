"""The command: what it prints, how it ends, and what keeps it from checking anything."""

import json
from pathlib import Path

import pytest

from asr_api.conformance.command import conformance, recording_for
from asr_api.conformance.connection import Connection
from asr_api.conformance.recording import CODECS
from asr_api.conformance.sdk import Sdk
from asr_api.conformance.verdict import CannotCheck
from asr_api.selftest import BUNDLED, sample_for

from .broken import OtherPath
from .reference import Reference
from .serving import serving

KEY = "sk-right"
NOBODY = "http://127.0.0.1:9"


def absent(name: str) -> object:
    raise ImportError(name)


def test_a_table_says_what_failed_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure has what was asked, what came and why it matters; the exit code is 1."""
    with serving(OtherPath().app) as url:
        assert conformance(url) == 1
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "failed `response_format=json` answers an object with the string `text`." in printed
    assert "asked: POST /audio/transcriptions" in printed
    assert "came: 404" in printed
    assert "why: It is the one field that every client reads." in printed
    assert "skipped" in printed


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each check with its outcome; the exit code is 0 where nothing failed."""
    with serving(Reference(KEY).app) as url:
        assert conformance(f"{url}/v1/", api_key=KEY, as_json_text=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["counts"]["failed"] == printed["counts"]["skipped"] == 0
    assert printed["counts"]["passed"] == len(printed["results"]) >= 50
    first = printed["results"][0]
    assert list(first) == ["theme", "check", "outcome", "holds", "why", "asked", "came"]
    assert (first["theme"], first["check"], first["outcome"]) == ("formats", "json_has_the_text", "passed")


def test_without_openais_client_it_says_how_to_install_it() -> None:
    """The package is an extra: one sentence says which."""
    with pytest.raises(CannotCheck, match=r"pip install 'asr-api\[conformance\]'"):
        Sdk(NOBODY, None, 1.0, load=absent)


@pytest.mark.parametrize(
    ("url", "says"), [(NOBODY, "no server answers at http://127.0.0.1:9/v1"), ("nowhere", "is not a URL such as")]
)
def test_where_nobody_is_it_says_so(url: str, says: str) -> None:
    """One sentence, and no table of failures."""
    with pytest.raises(CannotCheck, match=says):
        conformance(url)


def test_without_the_key_that_is_wanted_it_says_so() -> None:
    """One sentence that names the option."""
    with serving(Reference(KEY).app) as url, pytest.raises(CannotCheck, match="--api-key"):
        conformance(url, api_key="sk-wrong")


def test_a_file_that_is_no_audio_is_not_sent(tmp_path: Path) -> None:
    """The file that was named is looked at before anything is asked."""
    path = tmp_path / "notes.txt"
    path.write_text("no audio " * 99)
    with pytest.raises(CannotCheck, match=r"notes\.txt cannot be sent"):
        recording_for([], None, path)


def test_the_words_of_a_file_are_not_known() -> None:
    """Whoever sends a recording of their own gets no check of its words."""
    assert recording_for([], None, Path(sample_for(BUNDLED).path)).words is None


@pytest.mark.parametrize(
    ("models", "model", "name"),
    [
        (["callsign", "whisper-1"], None, "callsign.flac"),
        ([], "callsign", "callsign.flac"),
        (["base", "whisper-1"], None, "jfk.flac"),
        ([], None, "jfk.flac"),
    ],
)
def test_the_recording_is_one_that_the_model_reads(models: list[str], model: str | None, name: str) -> None:
    """Call signs for the bundled model, also behind another name; the 1961 address for any other."""
    assert recording_for(models, model, None).name == name


@pytest.mark.parametrize("extension", CODECS)
def test_a_recording_keeps_its_length_in_any_container(extension: str, tmp_path: Path) -> None:
    """What is sent as MP3 is as long as the sample, but for the padding of codecs."""
    sample = recording_for([BUNDLED], None, None)
    path = tmp_path / f"speech.{extension}"
    path.write_bytes(sample.encoded(extension).content)
    assert recording_for([], None, path).seconds == pytest.approx(sample.seconds, abs=0.1)


def test_no_key_is_no_header() -> None:
    """A server without keys is asked without one."""
    with serving(Reference().app) as url, Connection(url, None) as connection:
        assert "whisper-1" in connection.models()
