"""API keys: how they are given, kept and compared; and how failures are counted."""

import ast
import inspect
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api import access
from asr_api.access import MOST_FAILURES, WINDOW, ApiKeys, Failures, network_of
from asr_api.http import access as http_access
from asr_api.settings import InvalidSettings, Settings

CANARY = "sk-canary-4711"


class Clock:
    """Counts the seconds that a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def refusal(listed: str = "", file: str = "") -> str:
    """Why these keys cannot be used; the process ends with the code of a wrong setting."""
    with pytest.raises(InvalidSettings) as caught:
        ApiKeys.load(listed, file)
    assert caught.value.exit_code == 78
    assert "sk-" not in caught.value.message
    return caught.value.message


def test_keys_are_known_by_name() -> None:
    """Each key has a name; one without is `default`; several may share one, while they are exchanged."""
    keys = ApiKeys.load("mobile:sk-old-1, mobile:sk-new-2,batch:a:b=c:d,sk-bare,", "")
    tokens = (b"sk-old-1", b"sk-new-2", b"a:b=c:d", b"sk-bare")
    assert [keys.name_of(token) for token in tokens] == ["mobile", "mobile", "batch", "default"]
    assert keys.names == {"mobile", "batch", "default"}


@pytest.mark.parametrize("token", [b"", b"sk-old", b"sk-old-12", b"SK-OLD-1", b"mobile", b"\xff\x00", b"x" * 65536])
def test_other_tokens_are_nobody(token: bytes) -> None:
    """Only the whole key is the key, byte by byte."""
    assert ApiKeys.load("mobile:sk-old-1", "").name_of(token) is None


def test_no_keys_are_wanted_where_none_are_given() -> None:
    """Empty settings mean that everybody may ask."""
    assert not ApiKeys.load("", "")
    assert ApiKeys.load("sk-bare", "")


def test_a_file_has_a_key_a_line(tmp_path: Path) -> None:
    """Comments and empty lines are passed over; either separator ends the name; both settings add up."""
    file = tmp_path / "keys"
    file.write_text("# people\r\n\r\nann: sk-ann-1\nbob = c29tZQ==\n", encoding="utf-8-sig")
    keys = ApiKeys.load("cat:sk-cat-1", str(file))
    assert [keys.name_of(token) for token in (b"sk-ann-1", b"c29tZQ==", b"sk-cat-1")] == ["ann", "bob", "cat"]


@pytest.mark.parametrize(
    ("listed", "fact"),
    [
        (",", "ASR_API_KEYS has no key"),
        ("ok:sk-fine,Mobile:sk-abc", "ASR_API_KEYS, entry 2: the name before the key must be 1 to 32"),
        (":sk-abcdef", "entry 1: the name"),
        (f"{'n' * 33}:sk-abcdef", "entry 1: the name"),
        ("short:sk-a", "entry 1: a key must be 6 to 512 visible ASCII characters"),
        ("sk-with space", "entry 1: a key"),
        ("sk-schlüssel", "entry 1: a key"),
        ("long:" + "k" * 513, "entry 1: a key"),
        ("ann:sk-same,bob:sk-same", "the API keys ann and bob are the same"),
    ],
)
def test_x8_malformed_keys_are_refused_without_being_shown(listed: str, fact: str) -> None:
    """X8: the message has the place of the entry, and nothing of what stands there."""
    assert fact in refusal(listed)


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "has no key"),
        (b"# nobody yet\n", "has no key"),
        (b"# one\nsk-without-name\n", "line 2: a key"),
        (b"ann:\n", "line 1: a key"),
        (b"ann:sk-fine-1\n\nbob:sk-\xff\xff\xff\xff\n", "is not UTF-8 text"),
    ],
)
def test_x8_a_malformed_file_is_refused_by_line(tmp_path: Path, content: bytes, fact: str) -> None:
    """X8: a file that gives no key never leaves the service open, and a wrong line is named."""
    file = tmp_path / "keys"
    file.write_bytes(content)
    message = refusal(file=str(file))
    assert fact in message
    assert str(file) in message


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A mount that failed does not leave the service open."""
    assert "No such file" in refusal(file=str(tmp_path / "absent"))
    assert "directory" in refusal(file=str(tmp_path))


def test_x8_settings_and_keys_do_not_show_keys() -> None:
    """X8: neither the settings nor the keys can be printed with a key in them; only digests are kept."""
    settings = Settings.load({"ASR_API_KEYS": f"mobile:{CANARY}"})
    keys = ApiKeys.load(settings.api_keys.get_secret_value(), "")
    shown = [str(settings), repr(settings), settings.model_dump_json(), str(settings.model_dump()), repr(vars(keys))]
    assert [text for text in shown if CANARY in text] == []


@pytest.mark.parametrize("environ", [{"ASR_API_KEY": CANARY}, {"ASR_API_KEYS": CANARY, "ASR_PORT": "high"}])
def test_x8_errors_of_settings_do_not_show_keys(environ: dict[str, str]) -> None:
    """X8: a misspelt variable, or another that is wrong, does not print the key; nor does the cause."""
    with pytest.raises(InvalidSettings) as caught:
        Settings.load(environ)
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__}"


@pytest.mark.parametrize("wrong", ["https://a.example/", "https://a.example/page", "a.example", "null", "https://"])
def test_x5_an_origin_that_no_browser_sends_is_refused(wrong: str) -> None:
    """X5: an origin is a scheme and a host; anything else would never match, in silence."""
    with pytest.raises(InvalidSettings, match="ASR_CORS_ORIGINS"):
        Settings.load({"ASR_CORS_ORIGINS": wrong})


def test_x5_origins_are_a_list_that_may_be_empty() -> None:
    """X5: none is the default."""
    assert Settings.load({"ASR_CORS_ORIGINS": ""}).cors_origins == Settings().cors_origins == []
    given = Settings.load({"ASR_CORS_ORIGINS": "https://a.example, http://localhost:3000"})
    assert given.cors_origins == ["https://a.example", "http://localhost:3000"]
    assert Settings.load({"ASR_CORS_ORIGINS": "*"}).cors_origins == ["*"]


SECRETS = {"token", "tokens", "digest", "digests", "key", "keys", "known", "_names", "secret"}


@pytest.mark.parametrize("module", [access, http_access], ids=["access", "http.access"])
def test_x1_no_key_is_compared_with_an_operator(module: object) -> None:
    """X1: `==`, `!=` and `in` on keys or digests would tell by their time how much of a key is right."""
    tree = ast.parse(Path(inspect.getfile(module)).read_text(encoding="utf-8"))  # type: ignore[arg-type]
    compared = [
        operand
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn)
        for operand in (node.left, *node.comparators)
    ]
    names = {leaf.id for operand in compared for leaf in ast.walk(operand) if isinstance(leaf, ast.Name)}
    attributes = {leaf.attr for operand in compared for leaf in ast.walk(operand) if isinstance(leaf, ast.Attribute)}
    assert (names | attributes) & SECRETS == set()


def test_x1_all_keys_are_compared_whichever_is_right() -> None:
    """X1: the loop over the digests has no early end, and looks nothing up by digest."""
    (function,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(ApiKeys.name_of))).body
    kinds = {type(node) for node in ast.walk(function)}
    assert kinds & {ast.Break, ast.Continue, ast.Compare, ast.Subscript, ast.ListComp, ast.GeneratorExp} == set()
    (loop,) = (node for node in ast.walk(function) if isinstance(node, ast.For))
    assert not any(isinstance(node, ast.Return | ast.If) for node in ast.walk(loop))
    assert "compare_digest" in ast.unparse(loop)


def test_x9_ten_failures_a_minute_are_within_the_limit() -> None:
    """X9: the eleventh waits until the first is a minute old; asking meanwhile does not lengthen the wait."""
    clock = Clock()
    failures = Failures(clock)
    for _ in range(MOST_FAILURES):
        assert failures.note("192.0.2.1") == 0
        clock.now += 1
    assert [failures.note("192.0.2.1") for _ in range(3)] == [50, 50, 50]
    clock.now += 50
    assert failures.note("192.0.2.1") == 0
    assert failures.note("192.0.2.1") == 1


def test_x9_addresses_are_counted_apart() -> None:
    """X9: one that guesses does not stand in the way of others."""
    failures = Failures(Clock())
    for _ in range(MOST_FAILURES):
        failures.note("192.0.2.1")
    assert failures.note("192.0.2.1") > 0
    assert failures.note("192.0.2.2") == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_x9_an_ipv6_client_is_its_network(address: str, network: str) -> None:
    """X9: who has one IPv6 address has 2**64 of them."""
    assert network_of(address) == network


@given(st.integers(0, 2**32))
def test_x9_memory_is_bounded(seed: int) -> None:
    """X9: only the addresses that failed last are remembered, and those in full."""
    chance, failures = random.Random(seed), Failures(Clock(), addresses=5)
    for _ in range(100):
        failures.note(f"192.0.2.{chance.randrange(50)}")
        assert len(failures) <= 5
    assert WINDOW == 60
