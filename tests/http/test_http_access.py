"""Keys, limits of each key, and origins, over the whole app."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import openai
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Message, Scope
from starlette.websockets import WebSocketDisconnect

from asr_api.errors import Overloaded
from asr_api.http import create_http_app
from asr_api.http.access import ALLOWED_HEADERS, EXPOSED_HEADERS, PUBLIC

from .fakes import AUDIO, FakeService, client_of, multipart

KEYS = "mobile:sk-mobile-1,batch:sk-batch-22,mobile:sk-mobile-3"
RIGHT = {"authorization": "Bearer sk-mobile-1"}
OURS, OPENAI = "/transcribe", "/v1/audio/transcriptions"
BODY, FORM = multipart(("file", AUDIO), ("model", "whisper-1"))
PAGE = "https://page.example"


def locked(**options: Any) -> FakeService:
    return FakeService(api_keys=KEYS, **options)


def paths_of(routes: list[Any]) -> Iterator[str]:
    """Every path that the app can answer, those of included routers and mounts too."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from paths_of(inner.routes)
        elif isinstance(route, Mount):
            yield f"{route.path}/swagger-ui.css"
        else:
            yield route.path.replace("{model:path}", "whisper-1")


PATHS = sorted(set(paths_of(create_http_app(FakeService()).routes)))
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW")


def refused(response: httpx2.Response, status: int = 401, code: str = "invalid_api_key") -> None:
    """A refusal exactly as OpenAI says it."""
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, None)
    assert response.json().keys() == {"error"}
    assert error.keys() == {"message", "type", "param", "code"}
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-request-id"]


def test_the_walk_finds_the_routes() -> None:
    """What the next tests ask are all endpoints, the documentation with its files, and the metrics."""
    expected = {"/", "/docs", "/openapi.json", "/metrics", "/livez", "/readyz", "/v1/models", OURS, OPENAI}
    assert expected | {"/static-offline-docs/swagger-ui.css", "/v1/models/whisper-1"} <= set(PATHS)


@pytest.mark.parametrize("path", [*PATHS, "/nowhere", "/v1", "/livez/x", "/readyz/../docs"])
def test_x3_x4_every_route_wants_a_key_but_the_probes(path: str) -> None:
    """X3, X4: with any method; an unknown path cannot be told from a known one without a key."""
    service = locked()
    client = TestClient(create_http_app(service), follow_redirects=False)
    statuses = {method: client.request(method, path).status_code for method in METHODS}
    if path in PUBLIC:
        assert statuses["GET"] == 200
        assert set(statuses.values()) <= {200, 405}
    else:
        assert set(statuses.values()) <= {401, 429}
        assert service.count("asr_auth_failures_total") == len(METHODS)
    assert client.get(path, headers=RIGHT).status_code not in (401, 429)


@pytest.mark.parametrize("path", PATHS)
def test_no_route_wants_a_key_where_there_are_none(path: str) -> None:
    """Keys are a choice."""
    assert client_of(FakeService()).get(path).status_code not in (401, 429)


def ask(service: FakeService, raw: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> int:
    """The status that the app answers to a scope as a server makes it, which no client library tidies up."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope: Scope = {"type": "http", "method": "GET", "root_path": "", "query_string": b"", "headers": encoded, **raw}
    asyncio.run(create_http_app(service)(scope, receive, send))
    status: int = sent[0]["status"]
    return status


TRICKS = [
    "//v1/models",
    "/V1/models",
    "/v1/models/",
    "/livez/../v1/models",
    "/livez/%2e%2e/v1/models",
    "/livez%2f..%2fv1/models",
    "//livez",
    "/livez/",
    "/LIVEZ",
    "/livez\x00",
    "/livez;/v1/models",
    "/v1/models?/livez",
    "/v1/models#/livez",
    "\\livez",
    "livez",
    "",
    "*",
    "http://host/livez",
]


@pytest.mark.parametrize("path", TRICKS, ids=ascii)
def test_x3_no_way_of_writing_a_path_gets_round_the_key(path: str) -> None:
    """X3: a path is public only where it is exactly that of a probe."""
    assert ask(locked(), {"path": path, "raw_path": path.encode()}) == 401


@pytest.mark.parametrize("host", ["a/?x=", "a/livez?", "testserver/livez#", "[", "", "livez"])
def test_x3_the_host_header_decides_nothing(host: str) -> None:
    """X3: a host with a path in it (CVE-2026-48746) is only a strange host."""
    assert ask(locked(), {"path": "/v1/models"}, {"host": host}) == 401
    assert ask(locked(), {"path": "/livez"}, {"host": host}) == 200
    assert ask(locked(), {"path": "/v1/models"}, {"host": host, **RIGHT}) == 200


@pytest.mark.parametrize(
    ("root", "path", "status"),
    [
        ("/asr", "/asr/livez", 200),
        ("/asr", "/asr/v1/models", 401),
        ("/asr", "/asr//livez", 401),
        ("/asr", "/asrlivez", 401),
        ("/v1/models", "/v1/models", 401),
        ("/v1/models", "/v1/models/livez", 200),
    ],
)
def test_x3_probes_below_a_prefix_need_no_key(root: str, path: str, status: int) -> None:
    """X3: behind a proxy with a prefix the same paths are public, below the prefix."""
    assert ask(locked(), {"path": path, "root_path": root}) == status


def test_x3_a_websocket_wants_a_key_too() -> None:
    """X3: there is no route for one, and without a key nobody learns that."""
    for path in ("/nowhere", "/livez"):
        with pytest.raises(WebSocketDisconnect) as caught, client_of(locked()).websocket_connect(path):
            pass
        assert caught.value.code == 1008


@pytest.mark.parametrize(
    "headers",
    [
        RIGHT,
        {"authorization": "bearer sk-mobile-1"},
        {"authorization": "BEARER   sk-mobile-3 "},
        {"api-key": "sk-batch-22"},
        {"x-api-key": "sk-batch-22"},
    ],
)
def test_x2_a_right_key_opens(headers: Mapping[str, str]) -> None:
    """X2: in any case of the scheme, or as Azure's clients send it."""
    service = locked()
    assert client_of(service).get("/v1/models", headers=headers).status_code == 200
    assert service.count("asr_auth_failures_total") == 0


MISSING, WRONG, SEVERAL = "You didn't provide an API key.", "Incorrect API key provided.", "more than one API key"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], MISSING),
        ([(b"authorization", b"")], MISSING),
        ([(b"authorization", b"Bearer")], MISSING),
        ([(b"authorization", b"Bearer  ")], MISSING),
        ([(b"authorization", b"sk-mobile-1")], MISSING),
        ([(b"authorization", b"Basic c2stbW9iaWxlLTE=")], MISSING),
        ([(b"authorization", b"Bearersk-mobile-1")], MISSING),
        ([(b"api-key", b" ")], MISSING),
        ([(b"authorization", b"Bearer sk-mobile")], WRONG),
        ([(b"authorization", b"Bearer SK-MOBILE-1")], WRONG),
        ([(b"authorization", b"Bearer sk-mobile-1 x")], WRONG),
        ([(b"authorization", b"Bearer sk-mobile-1,sk-batch-22")], WRONG),
        ([(b"authorization", b"Bearer mobile:sk-mobile-1")], WRONG),
        ([(b"authorization", "Bearer schlüssel".encode())], WRONG),
        ([(b"authorization", b"Bearer \xff\xfe\x80")], WRONG),
        ([(b"authorization", b"Bearer \x00")], WRONG),
        ([(b"authorization", b"Bearer " + b"k" * 65536)], WRONG),
        ([(b"authorization", b"Bearer sk-mobile-1")] * 2, SEVERAL),
        ([(b"authorization", b"Bearer sk-mobile-1"), (b"authorization", b"Bearer wrong")], SEVERAL),
        ([(b"authorization", b"Bearer sk-mobile-1"), (b"api-key", b"wrong")], SEVERAL),
    ],
    ids=range(20),
)
def test_x2_no_or_a_strange_key_is_401(headers: list[tuple[bytes, bytes]], message: str) -> None:
    """X2: always the same refusal, never a 500, and never the key in it."""
    service = locked()
    response = client_of(service).get("/v1/models", headers=headers)
    refused(response)
    assert message in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert "sk-" not in response.text
    assert service.count("asr_auth_failures_total") == 1


@pytest.mark.parametrize("path", [OURS, OPENAI])
def test_no_byte_of_the_body_is_read_without_a_key(path: str) -> None:
    """The refusal comes before the body and before there is a place for the request."""
    service = locked(refusal=Overloaded("full"))
    assert ask(service, {"method": "POST", "path": path}, FORM) == 401
    assert client_of(service).post(path, content=BODY, headers={**FORM, **RIGHT}).status_code == 503


@pytest.mark.parametrize(("path", "endpoint"), [(OURS, "transcribe"), (OPENAI, "transcriptions")])
def test_the_name_of_the_key_is_the_tenant(path: str, endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    """What shares a key's name shares its part of the engine, and the log has the name."""
    caplog.set_level(logging.INFO, logger="asr_api")
    service = locked()
    for key in ("sk-mobile-1", "sk-batch-22", "sk-mobile-3"):
        headers = {**FORM, "authorization": f"Bearer {key}"}
        assert client_of(service).post(path, content=BODY, headers=headers).status_code == 200
    refused(client_of(service).post(path, content=BODY, headers=FORM))
    assert service.tenants == ["mobile", "batch", "mobile"]
    assert [vars(record)["key"] for record in caplog.records] == ["mobile", "batch", "mobile", ""]
    assert service.count("asr_requests_total", endpoint=endpoint, outcome="client_error") == 1


def test_without_keys_there_is_one_tenant_without_a_name() -> None:
    """A client may send a key all the same, as OpenAI's always do."""
    service = FakeService()
    assert client_of(service).post(OURS, content=BODY, headers={**FORM, **RIGHT}).status_code == 200
    assert service.tenants == [""]


def test_x8_no_answer_metric_or_log_has_a_key(caplog: pytest.LogCaptureFixture) -> None:
    """X8: neither a right key nor a wrong one appears anywhere."""
    caplog.set_level(logging.DEBUG, logger="asr_api")
    client = client_of(locked())
    answers = [
        client.request(method, path, content=BODY, headers={**FORM, "authorization": f"Bearer {key}"})
        for method, path in (("POST", OURS), ("POST", OPENAI), ("GET", "/metrics"), ("GET", "/openapi.json"))
        for key in ("sk-mobile-1", "sk-canary-4711")
    ]
    assert {answer.status_code for answer in answers} == {200, 401}
    text = "".join(f"{answer.text} {answer.headers}" for answer in answers) + "".join(
        str(vars(record)) for record in caplog.records
    )
    assert "sk-" not in text


def test_x9_who_guesses_hears_429_and_a_right_key_always_passes() -> None:
    """X9: the eleventh failure within a minute is told to wait; the same address with a right key is served."""
    service = locked()
    client = client_of(service)
    wrong = {"authorization": "Bearer sk-guess"}
    for _ in range(10):
        refused(client.get("/v1/models", headers=wrong))
    last = client.get("/v1/models", headers=wrong)
    refused(last, 429, "rate_limit_exceeded")
    assert last.json()["error"]["type"] == "requests"
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert client.get("/v1/models", headers=RIGHT).status_code == 200
    assert client.get("/livez").status_code == 200
    other = TestClient(create_http_app(service), client=("192.0.2.7", 1))
    refused(other.get("/v1/models", headers=wrong))
    assert service.count("asr_auth_failures_total") == 12


def test_x7_failures_are_counted_by_connection_not_by_header() -> None:
    """X7: a client that names another address for itself each time does not begin anew."""
    client = client_of(locked())
    statuses = [client.get("/docs", headers={"x-forwarded-for": f"192.0.2.{n}"}).status_code for n in range(11)]
    assert statuses == [401] * 10 + [429]


def test_a_client_without_an_address_is_counted_too() -> None:
    """On a Unix socket there is no address, which is one address for all."""
    assert ask(locked(), {"path": "/docs", "client": None}) == 401


def test_q8_a_key_that_floods_is_refused_alone() -> None:
    """Q8: one key at its limit hears 429 before its body is read; another key is served meanwhile."""

    async def flood() -> tuple[list[int], httpx2.Response]:
        service = locked(gated=True, max_requests_per_key=1)
        transport = httpx2.ASGITransport(create_http_app(service))
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:

            def post(key: str) -> asyncio.Task[httpx2.Response]:
                headers = {**FORM, "authorization": f"Bearer {key}"}
                return asyncio.create_task(client.post(OURS, content=BODY, headers=headers))

            first = post("sk-mobile-1")
            await service.entered.wait()
            flooder = await post("sk-mobile-3")
            other = post("sk-batch-22")
            while service.tenants != ["mobile", "batch"]:
                await asyncio.sleep(0)
            service.proceed()
            return [(await first).status_code, (await other).status_code], flooder

    statuses, flooder = asyncio.run(flood())
    assert statuses == [200, 200]
    error = flooder.json()["error"]
    assert (flooder.status_code, error["code"], error["type"]) == (429, "rate_limit_exceeded", "requests")
    assert 1 <= int(flooder.headers["retry-after"]) <= 120
    assert flooder.headers.get("x-should-retry") != "false"


def test_openai_client_raises_its_own_errors_of_access() -> None:
    """OpenAI's client raises AuthenticationError, with the code, for a key that is wrong."""
    http = client_of(locked())

    def sdk(key: str) -> openai.OpenAI:
        return openai.OpenAI(api_key=key, base_url="http://testserver/v1", http_client=http, max_retries=0)

    with pytest.raises(openai.AuthenticationError) as caught:
        sdk("sk-wrong").models.list()
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "invalid_request_error")
    assert sdk("sk-mobile-1").models.list().data


def test_azure_client_is_known_by_its_header() -> None:
    """Azure's client sends the key in a header of its own."""
    client = openai.AzureOpenAI(
        api_key="sk-batch-22", api_version="1", base_url="http://testserver/v1", http_client=client_of(locked())
    )
    assert client.models.list().data


def preflight(service: FakeService, origin: str = PAGE, **headers: str) -> httpx2.Response:
    asked = {"origin": origin, "access-control-request-method": "POST", **headers}
    return client_of(service).options(OPENAI, headers=asked)


def test_x5_cors_is_off_unless_origins_are_listed() -> None:
    """X5: no header of it, and a preflight is a method that is not allowed."""
    answers = [client_of(FakeService()).get("/livez", headers={"origin": PAGE}), preflight(FakeService())]
    assert [answer.status_code for answer in answers] == [200, 405]
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)
    refused(preflight(locked()))


def test_x5_a_preflight_needs_no_key() -> None:
    """X5: browsers send none with it; what it allows are our methods and the headers of OpenAI's clients."""
    sent = {name.lower() for name in openai.OpenAI(api_key="k").default_headers} - {"accept", "user-agent"}
    sent |= {"x-stainless-retry-count", "x-stainless-timeout", "x-stainless-read-timeout"}
    service = locked(cors_origins=[PAGE])
    answer = preflight(service, **{"access-control-request-headers": ",".join(sorted(sent))})
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert set(ALLOWED_HEADERS) <= set(answer.headers["access-control-allow-headers"].lower().split(", "))
    assert service.count("asr_auth_failures_total") == 0


def test_x5_other_origins_are_not_allowed() -> None:
    """X5: one that is not listed gets no permission, neither before nor after."""
    service = locked(cors_origins=[PAGE])
    for origin in ("https://evil.example", "null", f"{PAGE}.evil.example", f"{PAGE}:8443"):
        assert preflight(service, origin).status_code == 400
        answer = client_of(service).get("/v1/models", headers={"origin": origin, **RIGHT})
        assert not {"access-control-allow-origin", "access-control-allow-credentials"} & answer.headers.keys()


@pytest.mark.parametrize(("origins", "allowed"), [([PAGE], PAGE), (["*"], "*")])
def test_x5_credentials_are_never_allowed(origins: list[str], allowed: str) -> None:
    """X5: with them, `*` would open the service to every page that its user visits."""
    service = locked(cors_origins=origins)
    for answer in (preflight(service), client_of(service).get("/v1/models", headers={"origin": PAGE, **RIGHT})):
        assert answer.headers["access-control-allow-origin"] == allowed
        assert "access-control-allow-credentials" not in answer.headers


def test_x5_pages_can_read_answers_and_refusals() -> None:
    """X5: 401 and 413 too are readable, and our headers are exposed."""
    service = locked(cors_origins=[PAGE], max_upload_bytes=1)
    client, page = client_of(service), {"origin": PAGE}
    answers = [
        client.get("/v1/models", headers={**page, **RIGHT}),
        client.get("/v1/models", headers=page),
        client.post(OURS, content=BODY, headers={**page, **FORM, **RIGHT}),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 413]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert set(EXPOSED_HEADERS) == set(answer.headers["access-control-expose-headers"].split(", "))
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "BREW"])
def test_x6_other_methods_do_no_work(method: str) -> None:
    """X6: whoever has a key hears 405 and the methods that there are; the body is not read."""
    assert ask(locked(), {"method": method, "path": OURS}, RIGHT) == 405


def test_the_document_has_the_key_and_its_refusals() -> None:
    """OpenAPI names the scheme where keys are wanted, and 401 and 429 of every endpoint that may say them."""
    document = client_of(locked()).get("/openapi.json", headers=RIGHT).json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            wanted = path.startswith("/v1/") or path == OURS
            assert ("security" in operation) == wanted
            assert ({"401", "429"} <= operation["responses"].keys()) == wanted
    assert "security" not in str(client_of(FakeService()).get("/openapi.json").json()["paths"])


def test_the_app_is_one_app() -> None:
    """The walk above depends on it: nothing is mounted that would bring routes of its own unseen."""
    mounts = [route for route in create_http_app(FakeService()).routes if isinstance(route, Mount)]
    assert [mount.path for mount in mounts] == ["/static-offline-docs"]
    assert not any(isinstance(mount.app, Starlette) for mount in mounts)
