"""The page's layout in Gradio. Run as a process (`python -m asr_api.ui.building`), the only one that imports it.

It reads `PageLimits` as JSON on standard input and writes the page and its theme, as JSON, on standard output.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from asr_api.ui.labels import Labels, read_labels

ORIGIN = "asr-api.invalid"
"""A host that is none, for addresses in the page that are its own."""

PATH = "/ui"


def main() -> None:
    keyed = bool(json.load(sys.stdin)["keyed"])
    labels = read_labels()
    app = FastAPI()
    gr.mount_gradio_app(
        app,
        build_blocks(labels, keyed=keyed),
        path=PATH,
        theme=theme(),
        i18n=gr.I18n(**labels.translations()),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        show_error=False,
    )
    html, styles = asyncio.run(read_both(app))
    frontend = Path(gr.__file__).parent / "templates" / "frontend"
    json.dump({"html": html.replace(f"http://{ORIGIN}", ""), "theme": styles, "frontend": str(frontend)}, sys.stdout)


def theme() -> gr.themes.Base:
    """Gradio's plainest; what it says in small is dark enough to be read (WCAG 2.2, 1.4.3)."""
    plain = gr.themes.Base(primary_hue="teal", neutral_hue="slate", radius_size="lg")
    return plain.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
    )


def build_blocks(labels: Labels, *, keyed: bool) -> gr.Blocks:
    """The layout: the script of the page fills the columns `asr-source` and `asr-results`."""
    say = gr.I18n(**labels.translations())
    blocks = gr.Blocks(title="asr-api", analytics_enabled=False, fill_width=True)
    with blocks:
        gr.Column(elem_id="asr-head")
        with gr.Row(elem_id="asr-body", equal_height=False):
            with gr.Column(elem_id="asr-ask", scale=2, min_width=300):
                gr.Column(elem_id="asr-source")
                if keyed:
                    gr.Textbox(type="password", max_lines=1, **named("key", say))
                with gr.Accordion(say("options"), open=False, elem_id="asr-options"):
                    add_options(say, labels)
                gr.Column(elem_id="asr-limits")
            gr.Column(elem_id="asr-results", scale=3, min_width=300)
    return blocks


def add_options(say: gr.I18n, labels: Labels) -> None:
    """What may be asked, each with a line that says what it does."""
    languages: list[Any] = [(say("detect"), ""), *((say(f"language_{code}"), code) for code in labels.languages)]
    tasks: list[Any] = [(say("task_transcribe"), "transcribe"), (say("task_translate"), "translate")]
    gr.Dropdown(languages, value="", num_choices_shown=None, **named("language", say))
    gr.Radio(tasks, value="transcribe", **named("task", say))
    gr.Textbox(lines=2, max_length=4096, **named("prompt", say))
    gr.Textbox(max_lines=1, max_length=4096, **named("hotwords", say))
    gr.Checkbox(value=True, **named("words", say))
    gr.Checkbox(**named("denoise", say))


def named(name: str, say: gr.I18n) -> dict[str, Any]:
    """A component that can be used, with its label and its line, which the page's script finds by its name."""
    return {"label": say(name), "info": say(f"{name}_info"), "interactive": True, "elem_id": f"asr-{name}"}


async def read_both(app: FastAPI) -> tuple[str, str]:
    """The page and its theme."""
    return await read(app, f"{PATH}/"), await read(app, f"{PATH}/theme.css")


async def read(app: FastAPI, path: str) -> str:
    """What an ASGI application answers to GET."""
    body = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"Gradio answered {path} with {message['status']}")
        body.extend(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", ORIGIN.encode())], "client": None, "server": (ORIGIN, 80), "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    return body.decode()


if __name__ == "__main__":
    main()
