"""Work of every kind for a running service: good files of all lengths, bad ones, wrong keys, clients that leave."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self

import httpx2
import numpy as np

from asr_api.transcription import SAMPLE_RATE, Samples
from tests.e2e.recordings import CALLSIGN, POOL, wav

AT_ONCE = 6
"""Requests at a time: more than the two decode workers and the one engine call of a small machine."""

KEY = "sk-observed"


def lasting(seconds: float) -> bytes:
    """A call sign, and silence until the file lasts so long: nobody speaks, so that it costs little."""
    samples: Samples = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    said = CALLSIGN["en-01.flac"].samples()
    samples[: len(said)] = said
    return wav(samples)


class Load:
    """Clients of the service at `url`; each method is one request and returns its status."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx2.Client(base_url=url, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def run(self) -> list[int]:
        """Everything once, several at a time; the statuses in the order of `_requests`."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = [pool.submit(request) for request in self._requests()]
            self.leave_in_upload()
            self.send_nonsense()
            return [answer.result() for answer in answers]

    def _requests(self) -> list[Callable[[], int]]:
        medium, long = lasting(40), lasting(310)
        files = [recording.path.read_bytes() for recording in POOL[:10]]
        transcribe = partial(self.post, "/transcribe")
        return [
            *(partial(transcribe, file) for file in files),
            partial(transcribe, long),
            partial(transcribe, medium),
            partial(self.post, "/v1/audio/transcriptions", files[0], model="whisper-1"),
            partial(self.post, "/v1/audio/translations", files[1], model="whisper-1"),
            partial(transcribe, b"this is no audio"),
            partial(transcribe, files[0], key="sk-wrong"),
            partial(self.post, "/nowhere", files[0]),
        ]

    def post(self, path: str, file: bytes, *, key: str = KEY, **fields: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return self._client.post(path, files={"file": file}, data=fields, headers=headers).status_code

    def leave_in_upload(self) -> None:
        """Promise a body, send its beginning, and go away."""
        self._send(
            f"POST /transcribe HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
        )

    def send_nonsense(self) -> None:
        """What is no HTTP."""
        self._send("\x16\x03\x01 no request\r\n\r\n")

    def _send(self, text: str) -> None:
        url = httpx2.URL(self._url)
        with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
            connection.sendall(text.encode("latin-1"))
