"""What is refused, with which status, in which words, and which exception OpenAI's client makes of it."""

from asr_api.conformance.check import Theme
from asr_api.conformance.server import TRANSCRIPTIONS, Server
from asr_api.conformance.verdict import NotChecked, expect, shown

TIMEOUT = 10.0
"""Seconds in which a server tells that a body is too large before it has come."""


def a_missing_file_is_refused(server: Server) -> None:
    """A form without a file is a 400 that names `file`.

    Without the name nobody finds the fault.
    """
    server.note("POST /audio/transcriptions without a file")
    form = {"model": (None, server.model)}
    server.send("POST", TRANSCRIPTIONS, files=form).refused_for("file")


def a_file_without_a_name_is_refused(server: Server) -> None:
    """A `file` that is a text field instead of a file is a 400 that names `file`.

    curl sends that where the `@` is forgotten.
    """
    server.note("POST /audio/transcriptions file=speech.wav, as text")
    form = {"model": (None, server.model), "file": (None, "speech.wav")}
    server.send("POST", TRANSCRIPTIONS, files=form).refused_for("file")


def a_missing_model_is_refused(server: Server) -> None:
    """A form without a model is a 400 that names `model`.

    The field is required.
    """
    server.note("POST /audio/transcriptions without a model")
    recording = server.recording
    form = {"file": (recording.name, recording.content, recording.content_type)}
    server.send("POST", TRANSCRIPTIONS, files=form).refused_for("model")


def an_unknown_model_is_refused(server: Server) -> None:
    """A model that is not served is a 404.

    A server that takes any name answers with another model than was asked for.
    """
    server.transcribe(model="no-such-model").refused(404)


def the_client_is_told_that_the_model_is_unknown(server: Server) -> None:
    """OpenAI's client raises `NotFoundError`, with a code, for a model that is not served.

    Its users catch that.
    """
    error = server.refusal(model="no-such-model")
    expect(type(error).__name__ == "NotFoundError", f"{type(error).__name__}: {error}")
    expect(error.code is not None, f"code=None: {shown(error.body)}")


def an_unknown_format_is_refused(server: Server) -> None:
    """A `response_format` that does not exist is a 400 that names the field.

    Ignored, the client fails on the answer.
    """
    server.transcribe(response_format="opera").refused_for("response_format")


def the_client_is_told_what_is_wrong(server: Server) -> None:
    """OpenAI's client raises `BadRequestError` with `param` or a message that names the field.

    With any other body than the envelope it knows neither code nor type.
    """
    error = server.refusal(temperature=7)
    expect(type(error).__name__ == "BadRequestError", f"{type(error).__name__}: {error}")
    expect(error.type is not None, f"type=None: {shown(error.body)}")
    expect("temperature" in f"{error.param} {error.message}", f"param={error.param!r}: {error}")


def a_temperature_that_is_no_number_is_refused(server: Server) -> None:
    """`temperature=warm` is a 400 that names the field.

    Ignored, it hides a mistake of the client.
    """
    server.transcribe(temperature="warm").refused_for("temperature")


def a_temperature_above_one_is_refused(server: Server) -> None:
    """`temperature=2` is a 400 that names the field.

    The range is 0 to 1.
    """
    server.transcribe(temperature="2").refused_for("temperature")


def a_temperature_below_zero_is_refused(server: Server) -> None:
    """`temperature=-1` is a 400 that names the field.

    The range is 0 to 1.
    """
    server.transcribe(temperature="-1").refused_for("temperature")


def a_temperature_of_nan_is_refused(server: Server) -> None:
    """`temperature=nan` is a 400 that names the field.

    It passes comparisons with both ends of the range.
    """
    server.transcribe(temperature="nan").refused_for("temperature")


def diarization_is_served_or_named(server: Server) -> None:
    """`response_format=diarized_json` answers speakers, or is a 400 that names the field.

    Ignored, the client reads `speaker` of segments that have none.
    """
    answer = server.transcribe(response_format="diarized_json", chunking_strategy="auto")
    if answer.status == 200:
        segments = answer.json().get("segments")
        expect(isinstance(segments, list), f"segments={shown(segments)}")
        assert isinstance(segments, list)
        expect(all("speaker" in segment for segment in segments), f"segments={shown(segments)}")
    else:
        answer.refused_for("response_format")


def known_speakers_are_served_or_named(server: Server) -> None:
    """`known_speaker_names[]` without diarization is a 400 that names the field.

    Ignored, it would look like a field that is served.
    """
    server.transcribe(("known_speaker_names[]", "agent")).refused_for("known_speaker")


def the_client_is_told_of_known_speakers(server: Server) -> None:
    """OpenAI's client raises `BadRequestError` for `known_speaker_names` without diarization.

    Its users catch that.
    """
    error = server.refusal(known_speaker_names=["agent"])
    expect(type(error).__name__ == "BadRequestError", f"{type(error).__name__}: {error}")


def a_body_of_json_is_refused(server: Server) -> None:
    """A body of JSON instead of a form is a 400 or 415.

    A server that fails on it with a 500 is asked again and again.
    """
    server.note("POST /audio/transcriptions with a body of JSON")
    server.send("POST", TRANSCRIPTIONS, json={"model": server.model}).refused(400, 415)


def a_broken_form_is_refused(server: Server) -> None:
    """A form whose body is none is a 400.

    A server that fails on it with a 500 is asked again and again.
    """
    server.note("POST /audio/transcriptions with a form that is none")
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    server.send("POST", TRANSCRIPTIONS, content=b"no form at all", headers=headers).refused(400)


def a_page_that_does_not_exist_is_refused(server: Server) -> None:
    """A path that does not exist is a 404 in the same envelope.

    Whoever mistypes the base URL reads it.
    """
    server.get("/audio/no-such-page").refused(404)


def a_wrong_method_is_refused(server: Server) -> None:
    """GET where POST is meant is a 404 or 405 in the same envelope.

    Whoever opens the address in a browser reads it.
    """
    server.get(TRANSCRIPTIONS).refused(404, 405)


def a_body_without_end_is_refused(server: Server) -> None:
    """A body that is said to have a tebibyte is a 413, before it has come.

    A server that reads it anyway can be filled up by anyone.
    """
    answer = server.announce(TRANSCRIPTIONS, 1 << 40, TIMEOUT)
    if answer is None:
        raise NotChecked(f"the server reads on: it has no limit that shows within {TIMEOUT:g} s")
    answer.refused(413)


ERRORS = Theme(
    "errors",
    (
        a_missing_file_is_refused,
        a_file_without_a_name_is_refused,
        a_missing_model_is_refused,
        an_unknown_model_is_refused,
        the_client_is_told_that_the_model_is_unknown,
        an_unknown_format_is_refused,
        the_client_is_told_what_is_wrong,
        a_temperature_that_is_no_number_is_refused,
        a_temperature_above_one_is_refused,
        a_temperature_below_zero_is_refused,
        a_temperature_of_nan_is_refused,
        diarization_is_served_or_named,
        known_speakers_are_served_or_named,
        the_client_is_told_of_known_speakers,
        a_body_of_json_is_refused,
        a_broken_form_is_refused,
        a_page_that_does_not_exist_is_refused,
        a_wrong_method_is_refused,
        a_body_without_end_is_refused,
    ),
)
