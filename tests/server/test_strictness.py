"""What is no request, or two in one: refused, closed, and never read as more than was meant."""

from collections.abc import Mapping

import pytest

from asr_api.http import create_http_app

from ..http.fakes import FakeService
from .serving import Client, Echo, get, post, served, until

pytestmark = pytest.mark.anyio

HOST = b"Host: test\r\n"
POST = b"POST /one HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
TWO = b"GET /two HTTP/1.1\r\n" + HOST + b"\r\n"

MALFORMED = {
    "a length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + TWO,
    "chunks and a length": CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n" + TWO,
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc" + TWO,
    "twice the same length": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + TWO,
    "a list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc" + TWO,
    "a negative length": POST + b"Content-Length: -3\r\n\r\nabc" + TWO,
    "a length with a sign": POST + b"Content-Length: +3\r\n\r\nabc" + TWO,
    "a hexadecimal length": POST + b"Content-Length: 0x3\r\n\r\nabc" + TWO,
    "an empty length": POST + b"Content-Length: \r\n\r\n" + TWO,
    "an endless length": POST + b"Content-Length: 99999999999999999999\r\n\r\nabc" + TWO,
    "a space before the colon": POST + b"Content-Length : 3\r\n\r\nabc" + TWO,
    "chunks, and then identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + TWO,
    "almost chunks": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + TWO,
    "chunks of gzip": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + TWO,
    "chunks in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n0\r\n\r\n" + TWO,
    "chunks twice": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + TWO,
    "a folded header": b"GET /one HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n" + TWO,
    "a folded length": POST + b"Content-Length:\r\n 3\r\n\r\nabc" + TWO,
    "folded chunks": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + TWO,
    "a folded first header": b"GET /one HTTP/1.1\r\n A: b\r\n\r\n" + TWO,
    "bare line feeds": b"GET /one HTTP/1.1\nHost: test\n\n" + TWO,
    "a bare line feed": b"GET /one HTTP/1.1\r\nHost: test\nA: b\r\n\r\n" + TWO,
    "a bare carriage return": b"GET /one HTTP/1.1\r\n" + HOST + b"A: b\rB: c\r\n\r\n" + TWO,
    "a line feed at the end": b"GET /one HTTP/1.1\r\n" + HOST + b"\n" + TWO,
    "NUL in a header": b"GET /one HTTP/1.1\r\n" + HOST + b"A: b\0c\r\n\r\n" + TWO,
    "no colon": b"GET /one HTTP/1.1\r\n" + HOST + b"A\r\n\r\n" + TWO,
    "no host": b"GET /one HTTP/1.1\r\n\r\n" + TWO,
    "two hosts": b"GET /one HTTP/1.1\r\n" + HOST + HOST + b"\r\n" + TWO,
    "HTTP/0.9": b"GET /one\r\n\r\n" + TWO,
    "HTTP/2.0": b"GET /one HTTP/2.0\r\n" + HOST + b"\r\n" + TWO,
    "HTTP/1.2": b"GET /one HTTP/1.2\r\n" + HOST + b"\r\n" + TWO,
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + TWO,
    "a tunnel": b"CONNECT test:80 HTTP/1.1\r\n" + HOST + b"\r\n" + TWO,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + TWO,
    "an unknown method": b"SMUGGLE /one HTTP/1.1\r\n" + HOST + b"\r\n" + TWO,
    "bytes in the URL": "GET /é HTTP/1.1\r\n".encode() + HOST + b"\r\n" + TWO,
    "no path": b"GET ?a HTTP/1.1\r\n" + HOST + b"\r\n" + TWO,
}
BROKEN_BODIES = {
    "a negative chunk": CHUNKED + b"\r\n-1\r\n\r\n" + TWO,
    "a chunk's size in a bare line": CHUNKED + b"\r\n3\nabc\r\n0\r\n\r\n" + TWO,
    "a chunk without an end": CHUNKED + b"\r\n3\r\nabcX0\r\n\r\n" + TWO,
    "an endless chunk": CHUNKED + b"\r\nfffffffffffffffff\r\n" + TWO,
    "no number of a chunk": CHUNKED + b"\r\nxyz\r\n" + TWO,
    "a length after the chunks": CHUNKED + b"\r\n0\r\nContent-Length: 3\r\n\r\n" + TWO,
    "much after the chunks": CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * 200 + b"\r\n" + TWO,
}
LARGE = {
    "70 KB in a header": get("/one", "A: " + "a" * 70_000),
    "70 KB in all": get("/one", *(f"A: {'a' * 700}" for _ in range(99))),
    "10,000 headers": get("/one", *("A: b" for _ in range(10_000))),
    "a header without an end": b"GET /one HTTP/1.1\r\nA: " + b"a" * 400_000,
    "a name without an end": b"GET /one HTTP/1.1\r\n" + b"a" * 400_000,
    "a URL of 64 KB": get("/" + "a" * 65_536),
    "a URL without an end": b"GET /" + b"a" * 400_000,
}


MALFORMED_REQUEST = (400, "malformed_request", "close")


async def refusals(port: int, rows: Mapping[str, bytes]) -> dict[str, list[tuple[int, str, str]]]:
    """Status, code and what becomes of the connection, of each answer to each row."""
    found = {}
    for name, sent in rows.items():
        async with Client.connect(port) as client:
            await client.send(sent)
            found[name] = [(r.status, r.code, r.headers["connection"]) for r in await client.replies()]
    return found


async def test_what_is_malformed_is_refused() -> None:
    """400 in the envelope and the connection closes; the application hears of nothing."""
    app = Echo()
    async with served(app) as server:
        found = await refusals(server.port, MALFORMED)
    assert found == {name: [MALFORMED_REQUEST] for name in MALFORMED}
    assert app.asked == []
    assert await server.closings() == {"bad_request": len(MALFORMED)}
    assert server.count("asr_http_responses_total", endpoint="other", code="400") == len(MALFORMED)


async def test_a_broken_body_ends_its_request() -> None:
    """What follows it is never read as a request, and the application learns that no more comes."""
    app = Echo()
    async with served(app) as server:
        found = await refusals(server.port, BROKEN_BODIES)
        await until(lambda: app.left == len(BROKEN_BODIES))
    assert found == {name: [MALFORMED_REQUEST] for name in BROKEN_BODIES} | {
        "much after the chunks": [(431, "headers_too_large", "close")]
    }
    assert app.asked == ["/one"] * len(BROKEN_BODIES)


async def test_a_broken_body_is_counted_as_what_its_client_heard() -> None:
    """Not as a client that went away."""
    service = FakeService()
    async with served(create_http_app(service)) as server, Client.connect(server.port) as client:
        await client.send(
            b"POST /transcribe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\nxyz\r\n"
        )
        assert [reply.status for reply in await client.replies()] == [400]
        await until(lambda: service.count("asr_requests_total"))
    assert service.count("asr_requests_total", endpoint="transcribe", outcome="client_error") == 1
    assert service.count("asr_http_responses_total", endpoint="transcribe", code="400") == 1
    assert service.count("asr_client_disconnects_total") == 0


async def test_what_is_too_large_is_refused() -> None:
    """431 for headers, 414 for a URL, in the envelope, however it comes; then the connection closes."""
    app = Echo()
    async with served(app) as server:
        found = await refusals(server.port, LARGE)
    assert found == {
        name: [(414, "uri_too_long", "close") if "URL" in name else (431, "headers_too_large", "close")]
        for name in LARGE
    }
    assert app.asked == []
    assert await server.closings() == {"header_size": len(LARGE)}


@pytest.mark.parametrize("sent", [MALFORMED["two lengths"], LARGE["10,000 headers"]], ids=["malformed", "large"])
async def test_a_refusal_comes_after_the_answers_before_it(sent: bytes) -> None:
    """A client can tell which of its requests was refused."""
    app = Echo()
    async with served(app) as server, Client.connect(server.port) as client:
        await client.send(get("/held") + get("/then") + sent)
        await app.entered.wait()
        app.gate.set()
        first, second, last = await client.replies()
        assert (first.body, second.body) == (b"GET /held ", b"GET /then ")
        assert last.status in (400, 431)
    assert app.asked == ["/held", "/then"]


async def test_a_broken_body_behind_other_requests_ends_only_its_own() -> None:
    """Those before it are answered; it was never begun."""
    app = Echo()
    async with served(app) as server, Client.connect(server.port) as client:
        await client.send(get("/held") + BROKEN_BODIES["a negative chunk"])
        await app.entered.wait()
        app.gate.set()
        assert [reply.body for reply in await client.replies()] == [b"GET /held "]
    assert app.asked == ["/held"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_hundred_requests_at_once_are_answered_in_order(method: str) -> None:
    """Pipelining: one after the other, and others are served meanwhile."""
    app = Echo()
    app.gate.set()
    sent = [get(f"/{n}") if method == "GET" else post(f"/{n}", b"x" * n) for n in range(100)]
    async with served(app) as server, Client.connect(server.port) as client, Client.connect(server.port) as other:
        await client.send(b"".join(sent))
        await other.send(get("/other"))
        assert await other.reply() is not None
        bodies = [reply.body for _ in sent if (reply := await client.reply())]
    expected = [f"{method} /{n} {'x' * n if method == 'POST' else ''}".encode() for n in range(100)]
    assert bodies == expected


async def test_no_more_requests_wait_on_a_connection_than_it_may_have() -> None:
    """Of thousands, those that wait are answered, and the rest refused with the connection."""
    app = Echo()
    async with served(app) as server, Client.connect(server.port) as client:
        await client.send(get("/held") + get("/then") * 5000)
        await app.entered.wait()
        app.gate.set()
        *answered, last = await client.replies()
        assert {reply.status for reply in answered} == {200}
        assert (last.status, len(answered)) == (400, 129)
    assert len(app.asked) == 129


async def test_requests_wait_in_the_network_while_some_wait_for_answers() -> None:
    """A connection with requests to be answered is not read from."""
    app = Echo()
    async with served(app) as server, Client.connect(server.port) as client:
        await client.send(get("/held") + get("/second"))
        await app.entered.wait()
        await client.send(get("/third"))
        app.gate.set()
        assert [reply.body for _ in range(3) if (reply := await client.reply())] == [
            b"GET /held ",
            b"GET /second ",
            b"GET /third ",
        ]


async def test_a_client_that_would_rather_have_http_2_is_served() -> None:
    """Java's client asks for the upgrade with each first request, body and all."""
    app = Echo()
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
    async with served(app) as server, Client.connect(server.port) as client:
        sent = post("/one", b"body of one", *upgrade) + post("/two", b"", *upgrade) + get("/three")
        await client.send(sent[:150])
        await client.send(sent[150:])
        assert [reply.body for _ in range(3) if (reply := await client.reply())] == [
            b"POST /one body of one",
            b"POST /two ",
            b"GET /three ",
        ]


async def test_what_follows_a_body_is_no_header() -> None:
    """Trailers cannot name a key or anything else."""
    app = Echo()
    async with served(app) as server, Client.connect(server.port) as client:
        await client.send(CHUNKED + b"\r\n3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
        reply = await client.reply()
        assert reply is not None
        assert reply.body == b"POST /one abc"
    assert [name for name, _ in app.headers] == [b"host", b"transfer-encoding"]


async def test_a_closed_connection_takes_no_other_request() -> None:
    """What follows a request that is to be the last is thrown away."""
    app = Echo()
    async with served(app) as server, Client.connect(server.port) as client:
        await client.send(get("/last", "Connection: close") + TWO)
        assert [reply.body for reply in await client.replies()] == [b"GET /last "]
    assert app.asked == ["/last"]


async def test_a_client_that_leaves_is_noticed_by_the_request_at_work() -> None:
    """Also where another waits behind it."""

    app = Echo()
    async with served(app) as server:
        async with Client.connect(server.port) as client:
            await client.send(post("/one", b"abc")[:-1])
            await app.entered.wait()
        await until(lambda: app.left)
        await until(lambda: not len(server.connections))
        assert await server.closings() == {"client": 1}


async def test_an_answer_reaches_who_still_sends() -> None:
    """The last answer of a connection is not lost to a reset because its body was not read."""
    app = Echo()
    async with served(app, upload_timeout=30) as server, Client.connect(server.port) as client:
        await client.send(post("/early", b"x" * 30_000_000, "Connection: close"))
        assert [reply.body for reply in await client.replies()] == [b"no"]
    assert await server.closings() == {"done": 1}
