"""The page at `/ui`: files and the microphone in, words out, by way of the service's own HTTP API.

Gradio makes the page once, in a process of its own, and what it made is served as files: none of
Gradio's routes exist, and nothing of Gradio is in the process that serves. The browser sends the
audio straight to `/transcribe`, as any client does.
"""

from asr_api.ui.limits import PageLimits
from asr_api.ui.making import Page, UiUnavailable, make_page
from asr_api.ui.serving import PageDispatcher

__all__ = ["Page", "PageDispatcher", "PageLimits", "UiUnavailable", "make_page"]
