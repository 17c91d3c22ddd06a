"""The files that must be read, and those that must be refused."""

from asr_api.conformance.answer import Answer, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.server import ALIKE, TRANSCRIPTIONS, Server
from asr_api.conformance.verdict import expect, shown
from asr_api.selftest import likeness

TEXT = b"This is a text, not a recording, whatever its name may say.\n" * 40


def wav_is_read(server: Server) -> None:
    """A WAV file is read.

    It is on OpenAI's list.
    """
    _reads(server, "wav")


def mp3_is_read(server: Server) -> None:
    """An MP3 file is read.

    It is on OpenAI's list, and what most archives hold.
    """
    _reads(server, "mp3")


def m4a_is_read(server: Server) -> None:
    """An M4A file, AAC in MPEG-4, is read.

    It is on OpenAI's list, and what iPhones record.
    """
    _reads(server, "m4a")


def ogg_is_read(server: Server) -> None:
    """An Ogg file is read.

    It is on OpenAI's list, and what messengers send.
    """
    _reads(server, "ogg")


def webm_is_read(server: Server) -> None:
    """A WebM file is read.

    It is on OpenAI's list, and what browsers record.
    """
    _reads(server, "webm")


def flac_is_read(server: Server) -> None:
    """A FLAC file is read.

    It is on OpenAI's list.
    """
    _reads(server, "flac")


def a_name_in_any_script_is_taken(server: Server) -> None:
    """A file name with spaces, accents and other scripts is taken.

    Users name their recordings.
    """
    recording = server.recording
    name = "Besprechung – 会議 (no 2)." + recording.name.rpartition(".")[2]
    answer = server.upload(TRANSCRIPTIONS, (), file=(name, recording.content, recording.content_type))
    text_of(answer.json(), "text")


def an_unsaid_content_type_is_taken(server: Server) -> None:
    """A file that is said to be application/octet-stream is read.

    Many clients say that of every file.
    """
    recording = server.recording
    answer = server.upload(TRANSCRIPTIONS, (), file=(recording.name, recording.content, "application/octet-stream"))
    text_of(answer.json(), "text")


def an_empty_file_is_refused(server: Server) -> None:
    """A file without a byte is a 400.

    A server that fails on it with a 500 is asked again and again.
    """
    _sent(server, "empty.wav", b"", "audio/wav").refused(400)


def a_text_file_is_refused(server: Server) -> None:
    """A file of text under the name of a recording is a 400.

    A server that fails on it with a 500 is asked again and again.
    """
    _sent(server, "notes.wav", TEXT, "audio/wav").refused(400)


def a_truncated_header_is_refused(server: Server) -> None:
    """The first bytes of a WAV file, and no more, are a 400.

    Uploads break off.
    """
    content = server.recording.encoded("wav").content[:20]
    _sent(server, "short.wav", content, "audio/wav").refused(400)


def the_client_is_told_of_a_bad_file(server: Server) -> None:
    """OpenAI's client raises `BadRequestError` for a file that is no audio.

    Its users catch that.
    """
    error = server.refusal(file=("notes.wav", TEXT, "audio/wav"))
    expect(type(error).__name__ == "BadRequestError", f"{type(error).__name__}: {error}")


def _sent(server: Server, name: str, content: bytes, content_type: str) -> Answer:
    return server.upload(TRANSCRIPTIONS, (), file=(name, content, content_type))


def _reads(server: Server, extension: str) -> None:
    recording = server.recording.encoded(extension)
    answer = _sent(server, recording.name, recording.content, recording.content_type)
    text = text_of(answer.json(), "text")
    expect(likeness(text, server.text) >= ALIKE, f"text={shown(text)}")


FILES = Theme(
    "files",
    (
        wav_is_read,
        mp3_is_read,
        m4a_is_read,
        ogg_is_read,
        webm_is_read,
        flac_is_read,
        a_name_in_any_script_is_taken,
        an_unsaid_content_type_is_taken,
        an_empty_file_is_refused,
        a_text_file_is_refused,
        a_truncated_header_is_refused,
        the_client_is_told_of_a_bad_file,
    ),
)
