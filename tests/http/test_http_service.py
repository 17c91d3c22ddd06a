"""Models, probes, metrics and documentation; and OpenAI's own client against the endpoints."""

import json
from pathlib import Path

import openai
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openai.types.audio import TranscriptionVerbose

from asr_api.errors import Overloaded
from asr_api.http.forms import OpenAITranscriptionForm, OpenAITranslationForm, TranscribeForm, TranscriptionForm
from asr_api.http.languages import NAMES, language_code, language_name
from asr_api.metrics.labels import EngineState

from .fakes import AUDIO, FakeService, client_of

WAV = ("speech.wav", AUDIO)


def sdk(service: FakeService) -> openai.OpenAI:
    """OpenAI's client, talking to the app around `service`."""
    return openai.OpenAI(api_key="none", base_url="http://testserver/v1", http_client=client_of(service), max_retries=0)


def test_models_are_the_served_one_and_its_aliases() -> None:
    """The list has the served model first, in OpenAI's shape."""
    names = [model.id for model in sdk(FakeService()).models.list()]
    assert names == ["owner/tiny", "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"]


def test_a_model_is_found_by_a_name_with_a_slash() -> None:
    """Hub names have a slash, and are one model's path."""
    model = sdk(FakeService()).models.retrieve("owner/tiny")
    assert (model.id, model.object, model.owned_by) == ("owner/tiny", "model", "asr-api")
    with pytest.raises(openai.NotFoundError) as caught:
        sdk(FakeService()).models.retrieve("gpt-5")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_aliases_are_the_operator_s() -> None:
    """Which other names mean the served model is a setting; names that are not in it are not served."""
    service = FakeService()
    service.settings = service.settings.model_copy(update={"model_aliases": ["acme/speech-1", "best"]})
    client = client_of(service)
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["owner/tiny", "acme/speech-1", "best"]
    for name in ("owner/tiny", "acme/speech-1", "acme%2Fspeech-1", "best"):
        body = client.get(f"/v1/models/{name}").json()
        assert list(body) == ["id", "object", "created", "owned_by"]
        assert body["id"] == name.replace("%2F", "/")
    for name in ("whisper-1", "owner", "owner/tiny/", "acme", "Best", "best "):
        refused = client.get(f"/v1/models/{name}")
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    for name, status in (("best", 200), ("acme/speech-1", 200), ("whisper-1", 404)):
        answer = client.post("/transcribe", files={"file": WAV}, data={"model": name})
        assert answer.status_code == status


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/whisper-1"])
def test_models_are_unknown_while_loading(path: str) -> None:
    """Before the model is loaded, its name is not known: come back later."""
    response = client_of(FakeService(info=None, state="loading")).get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_loading")
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("state", "status"),
    [("ready", 200), ("loading", 503), ("restarting", 503), ("draining", 503), ("failed", 503)],
)
def test_probes_tell_life_from_readiness(state: EngineState, status: int) -> None:
    """A process that is not ready is alive all the same, unless there is no hope left for it."""
    client = client_of(FakeService(state=state))
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (status, {"status": state})
    alive = client.get("/livez")
    hope = (503, "failed") if state == "failed" else (200, "ok")
    assert (alive.status_code, alive.json()["status"]) == hope


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_metrics_are_in_the_format_asked_for(accept: str, kind: str) -> None:
    """Prometheus gets its own format, OpenMetrics where it asks."""
    response = client_of(FakeService()).get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"].startswith(kind)
    assert "asr_requests_total" in response.text


@settings(max_examples=50, deadline=None)
@example(["application/openmetrics-text", ";", "version=", "x"])
@given(st.lists(st.sampled_from(["application/openmetrics-text", "text/plain", "*/*", ";", ",", "version=", "1", "x"])))
def test_no_accept_header_breaks_the_metrics(parts: list[str]) -> None:
    """A scrape works whatever it says that it accepts."""
    assert client_of(FakeService()).get("/metrics", headers={"accept": "".join(parts)}).status_code == 200


def test_root_leads_to_the_documentation() -> None:
    """People who open the address see the documentation."""
    client = client_of(FakeService())
    assert client.get("/", follow_redirects=False).headers["location"] == "/docs"
    assert "swagger" in client.get("/").text


@pytest.mark.parametrize(
    ("path", "form_type", "required", "media"),
    [
        ("/v1/audio/transcriptions", OpenAITranscriptionForm, ["file", "model"], {"text/plain", "text/event-stream"}),
        ("/v1/audio/translations", OpenAITranslationForm, ["file", "model"], {"text/plain"}),
        (
            "/transcribe",
            TranscribeForm,
            ["file"],
            {"text/plain", "application/x-subrip", "text/vtt", "application/x-ndjson", "text/event-stream"},
        ),
    ],
)
def test_openapi_has_the_upload_form(
    path: str, form_type: type[TranscriptionForm], required: list[str], media: set[str]
) -> None:
    """The document has each field of the form, each kind of answer, and each error with an example."""
    document = client_of(FakeService()).get("/openapi.json").json()
    operation = document["paths"][path]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"].keys() == {field.alias or name for name, field in form_type.model_fields.items()}
    assert form["required"] == required
    assert form["properties"]["response_format"]["enum"] == ["json", "text", "srt", "verbose_json", "vtt"]
    assert operation["responses"]["200"]["content"].keys() == media | {"application/json"}
    errors = {status: answer for status, answer in operation["responses"].items() if status != "200"}
    assert errors.keys() >= {"400", "404", "408", "413", "415", "429", "500", "503", "504"}
    assert all(e["content"]["application/json"]["example"]["error"]["code"] for e in errors.values())


def test_openapi_references_lead_somewhere() -> None:
    """Every reference in the document has its target, so that generators can read it."""
    document = client_of(FakeService()).get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    assert {name.removeprefix("#/components/schemas/") for name in references(document)} <= schemas.keys()


def references(node: object) -> set[str]:
    """All `$ref`s of a JSON document."""
    if isinstance(node, list):
        return set().union(*map(references, node))
    if not isinstance(node, dict):
        return set()
    here = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return here.union(*map(references, node.values()))


def test_openai_client_reads_json() -> None:
    """OpenAI's client reads the default format, and sees the request's id."""
    answer = sdk(FakeService()).audio.transcriptions.create(file=WAV, model="whisper-1")
    assert answer.text == "Hello there. Bye."
    assert answer.usage is not None
    assert json.loads(answer.usage.to_json()) == {"type": "duration", "seconds": 3}


def test_openai_client_reads_text() -> None:
    """OpenAI's client gives the plain text as a string."""
    answer = sdk(FakeService()).audio.transcriptions.create(file=WAV, model="whisper-1", response_format="text")
    assert answer == "Hello there. Bye."


def test_openai_client_reads_verbose_json() -> None:
    """OpenAI's client reads words and segments, which hold to its types strictly."""
    answer = sdk(FakeService()).audio.transcriptions.create(
        file=WAV, model="whisper-1", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert answer.words is not None
    assert answer.segments is not None
    assert [word.word for word in answer.words] == ["Hello", "Bye."]
    assert [segment.avg_logprob for segment in answer.segments] == [-0.25, -0.5]
    TranscriptionVerbose.model_validate(answer.to_dict(), strict=True)


def test_openai_client_raises_its_own_errors() -> None:
    """OpenAI's client raises the class of the status, with the field and the code."""
    with pytest.raises(openai.BadRequestError) as caught:
        sdk(FakeService()).audio.transcriptions.create(file=WAV, model="whisper-1", temperature=2)
    assert (caught.value.param, caught.value.code) == ("temperature", "invalid_value")
    with pytest.raises(openai.InternalServerError) as shed:
        sdk(FakeService(refusal=Overloaded("full"))).audio.transcriptions.create(file=WAV, model="whisper-1")
    assert (shed.value.status_code, shed.value.code) == (503, "queue_full")
    assert shed.value.request_id


def test_languages_have_a_name_and_a_code() -> None:
    """Whisper's hundred languages are known by code and by name, in any case."""
    assert len(NAMES) == 100
    for code, name in NAMES.items():
        assert (language_code(name.upper()), language_code(code.upper()), language_name(code)) == (code, code, name)
    assert (language_code("Mandarin"), language_code("jv")) == ("zh", "jw")
    assert (language_code("Klingon"), language_name("xx"), language_name(None)) == ("klingon", "xx", "")


def test_t20_a_nearly_full_spool_is_not_ready(tmp_path: Path) -> None:
    """T20: above nine tenths of the budget other replicas should take the requests."""
    service = FakeService(spool_dir=tmp_path, max_spool_bytes=1000)
    client = client_of(service)
    with service.spool.file(0) as file:
        file.write(b"x" * 901)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "storage_nearly_full"})
    assert client.get("/readyz").json() == {"status": "ready"}
