"""From the limits of a service to the files of its page."""

import base64
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from asr_api.errors import StartupError
from asr_api.ui.labels import read_labels
from asr_api.ui.limits import PageLimits
from asr_api.ui.widths import wide_ranges

BUILD_SECONDS = 120
"""Gradio alone takes some seconds to be imported, from a cold disk many."""

FOREIGN = re.compile(r'\s*<meta\s+(?:property|name)="(?:og|twitter):[^>]*>|\s*<link rel="manifest"[^>]*>')
"""What Gradio says of itself to sites that link to the page, and a file that is none of ours."""

INLINE = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)


class UiUnavailable(StartupError):
    """The page cannot be made."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Page:
    """The page and its theme, the policy under which browsers are to run it, and Gradio's folder of scripts."""

    html: bytes
    theme: bytes
    policy: str
    frontend: Path


def make_page(limits: PageLimits) -> Page:
    """Have Gradio build the page. Raises UiUnavailable where it cannot, or is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise UiUnavailable("--ui needs Gradio: pip install 'asr-api[ui]'")
    built = _build(json.dumps(asdict(limits)))
    html = _finished(built["html"], limits)
    return Page(html.encode(), built["theme"].encode(), policy_of(html), Path(built["frontend"]))


def _build(limits: str) -> dict[str, str]:
    command = [sys.executable, "-m", "asr_api.ui.building"]
    try:
        done = subprocess.run(
            command, input=limits, capture_output=True, text=True, encoding="utf-8", timeout=BUILD_SECONDS, check=True
        )
        built: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UiUnavailable(f"the page could not be made: {last}") from error
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise UiUnavailable(f"the page could not be made: {error}") from error
    return built


def _finished(html: str, limits: PageLimits) -> str:
    """Gradio's page with our style, script and words in its head, and nothing that points elsewhere."""
    config = {"limits": asdict(limits), "labels": read_labels().words, "wide": wide_ranges()}
    data = json.dumps(config, ensure_ascii=False).replace("<", "\\u003c")
    head = (
        '<link rel="icon" href="./page/icon.svg"><link rel="stylesheet" href="./page/page.css">'
        f'<script type="application/json" id="asr-config">{data}</script>'
        '<script type="module" src="./page/main.js"></script>'
    )
    return FOREIGN.sub("", html).replace("</head>", f"{head}</head>", 1)


def policy_of(html: str) -> str:
    """A Content-Security-Policy for a page: what is in it may run, and the service's own files.

    Gradio's components are styled by attributes, for which there is no stricter word.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in INLINE.findall(html))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data:; font-src 'self'; media-src blob:; base-uri 'self'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
