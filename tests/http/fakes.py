"""A service that answers what a test tells it to, and the ways to ask it."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import SecretStr
from starlette.testclient import TestClient

from asr_api.admission import Admission, AdmissionLimits, Place
from asr_api.engine.protocol import EngineInfo
from asr_api.errors import AsrError
from asr_api.http import create_http_app
from asr_api.joining import Joining
from asr_api.metrics import Metrics
from asr_api.metrics.labels import EngineState
from asr_api.service import Service
from asr_api.settings import Settings
from asr_api.spool import Spool
from asr_api.telemetry import NoTelemetry
from asr_api.trace import Trace
from asr_api.transcription import Part, Segment, Transcription, TranscriptionOptions, Word

AUDIO = b"RIFF not really audio"
INFO = EngineInfo("owner/tiny", "cpu", "int8", 1, 80, ("de", "en", "fr"))
SEGMENTS = (
    Segment(0, 0, 0.0, 1.5, " Hello there.", (50, 51), 0.0, -0.25, 1.1, 0.01, (Word(" Hello", 0.0, 0.7, 0.9),)),
    Segment(1, 0, 1.5, 2.5, " Bye.", (52,), 0.2, -0.5, 1.0, 0.02, (Word(" Bye.", 1.5, 2.5, 0.8),)),
)
HELLO = Transcription("Hello there. Bye.", "transcribe", "en", 0.98, 2.5, SEGMENTS)


class FakeService(Service):
    """Answers `answer`, raises `error` or waits at `gate`; `refusal` is why there is no place.

    `spool_dir` and `max_spool_bytes` are those of its spool, whose files never have names;
    `api_keys`, `max_requests_per_key` and `cors_origins` are the settings.
    """

    def __init__(
        self,
        answer: Transcription = HELLO,
        *,
        error: Exception | None = None,
        refusal: AsrError | None = None,
        state: EngineState = "ready",
        info: EngineInfo | None = INFO,
        gated: bool = False,
        parts_before_error: bool = False,
        max_upload_bytes: int = 1 << 24,
        upload_timeout: float = 300.0,
        min_upload_rate: int = 10_000,
        spool_dir: Path | None = None,
        max_spool_bytes: int = 1 << 26,
        api_keys: str = "",
        max_requests_per_key: int = 0,
        max_concurrent_requests: int = 256,
        cors_origins: Sequence[str] = (),
    ) -> None:
        self.settings = Settings(
            max_upload_bytes=max_upload_bytes,
            upload_timeout=upload_timeout,
            min_upload_rate=min_upload_rate,
            spool_dir=spool_dir or Path(tempfile.gettempdir()),
            max_spool_bytes=max_spool_bytes,
            api_keys=SecretStr(api_keys),
            max_requests_per_key=max_requests_per_key,
            cors_origins=list(cors_origins),
        )
        self.metrics = Metrics("0")
        self.spool = Spool(self.settings.spool_dir, self.settings.max_spool_bytes, self.metrics)
        self.telemetry = NoTelemetry()
        self.state = state
        self.tenants: list[str] = []
        self.heard: list[tuple[bytes, TranscriptionOptions]] = []
        self.files: list[BinaryIO] = []
        self.places = 0
        self.entered = asyncio.Event()
        self.cancelled = False
        self.joining: Joining[Any, Transcription] = Joining(
            self.settings.retry_window, 16, self.metrics.requests.joined
        )
        self._early = error is not None and not parts_before_error
        self._answer, self._error, self._refusal = answer, error, refusal
        limits = AdmissionLimits(max_concurrent_requests, 36_000, 3600, max_requests_per_key)
        self._admission = Admission(limits, lambda: None)
        self._fake_info = info
        self._gate = asyncio.Event()
        if not gated:
            self._gate.set()

    @property
    def info(self) -> EngineInfo | None:
        return self._fake_info

    @contextmanager
    def admitted(self, tenant: str = "") -> Iterator[Place]:
        if self._refusal:
            raise self._refusal
        with self._admission.place(tenant) as place:
            self.places += 1
            try:
                yield place
            finally:
                self.places -= 1

    async def transcribe(
        self,
        upload: BinaryIO,
        options: TranscriptionOptions,
        trace: Trace,
        *,
        on_progress: Callable[[float, float], None] | None = None,
        on_part: Callable[[Part], None] | None = None,
        tenant: str = "",
    ) -> Transcription:
        self.files.append(upload)
        self.tenants.append(tenant)
        self.heard.append((upload.read(), options))
        self.entered.set()
        self._tell(on_part, on_progress)
        try:
            await self._gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self._error:
            raise self._error
        trace.audio_seconds = self._answer.duration
        trace.longest("inference", 0.25)
        trace.batch_sizes.append(3)
        return self._answer

    def _tell(self, on_part: Callable[[Part], None] | None, on_progress: Callable[[float, float], None] | None) -> None:
        """All of the answer at once, a part for each segment, unless it is to fail before."""
        for segment in () if self._early else self._answer.segments:
            text = segment.text if segment.id else segment.text.lstrip()
            if on_part:
                on_part(Part(text, self._answer.language, (segment,), self._answer.logprobs))
            if on_progress:
                on_progress(segment.end, self._answer.duration)

    def proceed(self) -> None:
        """Let go of those that wait at the gate."""
        self._gate.set()

    def count(self, name: str, **labels: str) -> float:
        """The value of one of the metrics, all series together that have these labels."""
        samples = (sample for family in self.metrics.registry.collect() for sample in family.samples)
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def client_of(service: Service) -> TestClient:
    """A client of the app around `service`; a bug in the app is an exception in the test."""
    return TestClient(create_http_app(service))


def multipart(*parts: tuple[str, str | bytes], boundary: str = "edge") -> tuple[bytes, Mapping[str, str]]:
    """A body of parts in the order given, and its headers; bytes are sent as a file."""
    body = b""
    for name, value in parts:
        filename = '; filename="speech.wav"' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={boundary}"}
