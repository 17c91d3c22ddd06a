"""What is and is not there under `/ui`, and what is there without it."""

import subprocess
import sys
from itertools import pairwise

import httpx2
import pytest

from asr_api.settings import Settings
from asr_api.ui import PageLimits, make_page
from asr_api.ui.labels import read_labels
from asr_api.ui.making import policy_of
from asr_api.ui.widths import wide_ranges
from tests.e2e.process import ServerProcess


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_nothing_of_gradio_is_imported() -> None:
    """Neither by the server nor, where there is a page, by the process that serves it."""
    names = "{name.split('.')[0] for name in sys.modules} & {'gradio', 'gradio_client', 'pandas'}"
    done = python(f"import sys, asr_api.cli, asr_api.server, asr_api.ui; print({names})")
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_the_server_alone_knows_nothing_of_the_page() -> None:
    """It is not even read."""
    done = python("import sys, asr_api.cli, asr_api.server; print('asr_api.ui' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_without_the_extra_one_line_says_what_to_install() -> None:
    """And the exit code is that of a start that failed."""
    done = python(
        "import sys; sys.modules['gradio'] = None; sys.argv = ['asr-api', 'serve', '--ui', '--port', '0'];"
        "from asr_api.cli import main; main()"
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "asr-api: --ui needs Gradio: pip install 'asr-api[ui]'\n"


def test_the_key_field_is_there_where_keys_are_set() -> None:
    """And nowhere else."""
    page = make_page(PageLimits.of(Settings()))
    assert b'"elem_id":"asr-key"' not in page.html
    assert b'"elem_id":"asr-prompt"' in page.html


def test_every_word_is_there_in_both_languages() -> None:
    """So that no label is left empty."""
    words = read_labels().words
    assert words["en"].keys() == words["zh"].keys()
    assert all(text for own in words.values() for text in own.values())


def test_the_policy_names_each_script_in_the_page() -> None:
    """By its digest; those that are files are the service's own."""
    policy = policy_of('<script>one()</script><script src="./x.js"></script><script type="module">two()</script>')
    assert policy.count("'sha256-") == 2
    assert "unsafe-eval" not in policy
    assert "script-src 'self' 'sha256-" in policy


def test_wide_characters_are_told_by_ranges() -> None:
    """In order, apart, and with the first Chinese character among them."""
    ranges = wide_ranges()
    assert all(first <= last for first, last in ranges)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(ranges))
    assert any(first <= ord("一") <= last for first, last in ranges)


def test_the_page_needs_no_key_and_says_what_may_run(server: ServerProcess) -> None:
    """Whoever comes can load it: nothing that it runs comes from elsewhere."""
    with server.client() as stranger:
        answer = stranger.get("/ui", follow_redirects=True)
        assert answer.status_code == 200
        assert "script-src 'self' 'sha256-" in answer.headers["content-security-policy"]
        assert "https://" not in answer.text.replace("https://gradio.app/", "")
        assert stranger.get("/ui/theme.css").headers["x-content-type-options"] == "nosniff"
        assert stranger.post("/transcribe").status_code == 401


CLOSED = (
    "/ui/config", "/ui/info", "/ui/gradio_api/info", "/ui/gradio_api/openapi.json", "/ui/gradio_api/upload",
    "/ui/gradio_api/file=/etc/passwd", "/ui/gradio_api/proxy=http://127.0.0.1/", "/ui/gradio_api/queue/join",
    "/ui/gradio_api/heartbeat/x", "/ui/gradio_api/startup-events", "/ui/monitoring", "/ui/login", "/ui/manifest.json",
    "/ui/page/%2e%2e/serving.py", "/ui/assets/..%2f..%2f..%2froutes.py", "/ui/static/%2e%2e/index.html",
)  # fmt: skip


@pytest.mark.parametrize("path", CLOSED)
def test_none_of_gradio_s_routes_exists(path: str, server: ServerProcess) -> None:
    """No upload, no proxy, no files but those of the page: nothing that a stranger could use."""
    with server.client() as stranger:
        answers = [stranger.request(method, path).status_code for method in ("GET", "POST", "PUT", "DELETE")]
    assert set(answers) <= {404, 405}


def test_paths_beside_the_page_are_the_api_s(server: ServerProcess, api: httpx2.Client) -> None:
    """`/ui` opens nothing that has a key, whatever it is spelt like."""
    with server.client() as stranger:
        for path in ("/uix", "/UI/", "//ui/", "/ui/../v1/models", "/v1/models", "/docs"):
            request = httpx2.Request("GET", f"{server.url}{path}")
            assert stranger.send(request).status_code in (401, 404), path
    assert api.get("/v1/models").status_code == 200
