"""Who takes part in a comparison: any server that speaks OpenAI's API, started here or running elsewhere."""

import asyncio
import sys

import pytest
from benchmarks.harness.clips import CALLSIGN, choose, clips_for, read_clips
from benchmarks.harness.contenders import Contender
from benchmarks.harness.process import ServerFailed

from tests.e2e.recordings import words


@pytest.mark.long
@pytest.mark.e2e
def test_a_rival_is_started_by_its_command_or_asked_where_it_runs() -> None:
    """The same words come back either way; processor time is known of what was started here."""
    clips = choose(read_clips(clips_for(CALLSIGN)[0]), clips_for(CALLSIGN)[1])[:3]
    command = f"theirs={sys.executable} -m asr_api serve --model callsign --port {{port}}"
    with Contender.parse(command, "whisper-1").started() as server:
        asyncio.run(server.warm_up(clips[0]))
        near = asyncio.run(server.hear(clips, 2))
        with Contender.parse(f"elsewhere={server.url}/", "whisper-1").started() as same:
            far = asyncio.run(same.hear(clips, 2))
        assert (server.cpu_seconds() or 0) > 0
        assert same.cpu_seconds() is None
    for run in (near, far):
        answers = {answer.clip: answer.text for answer in run.answers}
        assert {clip: words(answers[clip]) for clip in clips} == {clip: words(clip.text) for clip in clips}


def test_a_rival_that_ends_is_said_to_have_failed() -> None:
    """With what it printed, and not after ten minutes."""
    contender = Contender.parse(f"theirs={sys.executable} -c raise(SystemExit({{port}}*0+7))", "whisper-1")
    with pytest.raises(ServerFailed, match="exit code 7"), contender.started():
        pass


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("http://127.0.0.1:9000", "NAME=URL"),
        ("theirs=", "NAME=URL"),
        ("=python server.py --port {port}", "NAME=URL"),
        ("theirs=python server.py", "does not say where"),
    ],
)
def test_a_rival_that_is_no_server_is_refused(text: str, fault: str) -> None:
    """With what it should look like."""
    with pytest.raises(ValueError, match=fault):
        Contender.parse(text, "whisper-1")
