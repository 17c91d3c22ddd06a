"""Forms made of parts, without HTTP."""

import io

import pytest
from starlette.datastructures import FormData, UploadFile

from asr_api.errors import InvalidRequest
from asr_api.http.forms import OpenAITranscriptionForm, OpenAITranslationForm, TranscribeForm, TranscriptionForm
from asr_api.transcription import TranscriptionOptions

Part = tuple[str, str | UploadFile]
LANGUAGES = ("de", "en", "fr")
FILE = ("file", UploadFile(io.BytesIO(b"RIFF"), filename="speech.wav"))
OTHER = UploadFile(io.BytesIO(b"fLaC"), filename="other.flac")
MODEL = ("model", "whisper-1")
VERBOSE = ("response_format", "verbose_json")
FORMS: tuple[type[TranscriptionForm], ...] = (OpenAITranscriptionForm, OpenAITranslationForm, TranscribeForm)


def openai(*parts: Part) -> OpenAITranscriptionForm:
    return OpenAITranscriptionForm.read(FormData([FILE, MODEL, *parts]))


def ours(*parts: Part) -> TranscribeForm:
    return TranscribeForm.read(FormData([FILE, *parts]))


def options(form: TranscriptionForm) -> TranscriptionOptions:
    return form.options(LANGUAGES)


def refusal(form_type: type[TranscriptionForm], *parts: Part) -> tuple[str, str | None, str]:
    """Code, field and message with which a form of a file, a model and these parts is refused."""
    with pytest.raises(InvalidRequest) as caught:
        form_type.read(FormData([FILE, MODEL, *parts])).options(LANGUAGES)
    return caught.value.code, caught.value.param, caught.value.message
