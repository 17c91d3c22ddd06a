"""What the list of models says."""

from asr_api.conformance.answer import number_of, objects_of, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.server import MODELS as PATH
from asr_api.conformance.server import Server
from asr_api.conformance.verdict import NotChecked, expect, shown

UNKNOWN = "no-such-model"


def models_are_listed(server: Server) -> None:
    """`GET /v1/models` is `{"object": "list", "data": [...]}` with at least one model.

    Clients offer the list to choose from.
    """
    body = server.get(PATH).json()
    expect(body.get("object") == "list", f"object={shown(body.get('object'))}")
    expect(objects_of(body, "data") != [], "an empty list")


def listed_models_have_their_fields(server: Server) -> None:
    """Each model has a string `id`, `object` that is `model`, an integer `created` and a string `owned_by`.

    All are required in OpenAI's document.
    """
    for model in objects_of(server.get(PATH).json(), "data"):
        _check_model(model)


def the_model_is_listed(server: Server) -> None:
    """The model that transcribes is in the list.

    Clients refuse names that they do not find there.
    """
    ids = [model.get("id") for model in objects_of(server.get(PATH).json(), "data")]
    expect(server.model in ids, f"the ids {shown(ids)}")


def every_listed_model_can_be_described(server: Server) -> None:
    """`GET /v1/models/{id}` describes each model of the list.

    Clients ask so whether a model is there.
    """
    for model in objects_of(server.get(PATH).json(), "data")[:10]:
        found = server.get(f"{PATH}/{model.get('id')}").json()
        _check_model(found)
        expect(found["id"] == model.get("id"), f"id={shown(found['id'])}")


def ids_may_have_slashes(server: Server) -> None:
    """`GET /v1/models/{id}` takes ids with slashes, as `owner/model`, as they are.

    Names from the Hugging Face hub have one; a route that does not take it says that the page is missing.
    """
    ids = [str(model.get("id")) for model in objects_of(server.get(PATH).json(), "data")]
    with_slash = [model for model in ids if "/" in model]
    for model in with_slash[:1]:
        expect(server.get(f"{PATH}/{model}").json().get("id") == model, "another model")
    error = server.get(f"{PATH}/nobody/{UNKNOWN}").refused(404)
    unknown = server.get(f"{PATH}/{UNKNOWN}").refused(404)
    expect(error["code"] == unknown["code"], f"{shown(error)}, but without a slash {shown(unknown)}")


def an_unknown_model_is_not_described(server: Server) -> None:
    """`GET /v1/models/{id}` of a model that is not there is a 404.

    Clients ask so whether a model is there.
    """
    server.get(f"{PATH}/{UNKNOWN}").refused(404)


def the_client_lists_models(server: Server) -> None:
    """OpenAI's client lists models and retrieves one by its id.

    Its users write `client.models.list()`.
    """
    server.note("client.models.list()")
    models = list(server.sdk.client.models.list())
    expect(models != [], "an empty list")
    server.note(f"client.models.retrieve({models[0].id!r})")
    found = server.sdk.client.models.retrieve(models[0].id)
    expect(found.id == models[0].id and isinstance(found.created, int), shown(found))


def the_client_is_told_of_an_unknown_model(server: Server) -> None:
    """OpenAI's client raises `NotFoundError`, with a code, for a model that is not there.

    Its users catch that.
    """
    server.note(f"client.models.retrieve({UNKNOWN!r})")
    error = server.sdk.refusal(lambda: server.sdk.client.models.retrieve(UNKNOWN))
    expect(type(error).__name__ == "NotFoundError", f"{type(error).__name__}: {error}")
    expect(error.code is not None, f"code=None: {shown(error.body)}")


def every_listed_name_transcribes(server: Server) -> None:
    """The first names of the list are names that a transcription may use.

    A list of names that are refused helps nobody.
    """
    ids = [str(model.get("id")) for model in objects_of(server.get(PATH).json(), "data")]
    if server.model not in ids:
        raise NotChecked("the list is of other models")
    if len(ids) > 10:
        raise NotChecked("the list has models for other things than audio")
    for model in ids:
        text_of(server.transcribe(model=model).json(), "text")


def _check_model(model: dict[str, object]) -> None:
    text_of(model, "id")
    text_of(model, "owned_by")
    expect(model.get("object") == "model", f"object={shown(model.get('object'))}")
    number_of(model, "created")
    expect(isinstance(model["created"], int), f"created={shown(model['created'])}")


MODELS = Theme(
    "models",
    (
        models_are_listed,
        listed_models_have_their_fields,
        the_model_is_listed,
        every_listed_model_can_be_described,
        ids_may_have_slashes,
        an_unknown_model_is_not_described,
        the_client_lists_models,
        the_client_is_told_of_an_unknown_model,
        every_listed_name_transcribes,
    ),
)
