"""Mutants posted to the real server."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from asr_api.metrics.labels import WORKER_RESTARTS
from tests.e2e.process import Counters, ServerProcess, environment
from tests.fuzz.campaign import Finding
from tests.fuzz.mutants import Mutant
from tests.fuzz.trials import KNOWN_CODES, MAX_SECONDS

AT_A_TIME = 4


@dataclass(slots=True)
class Answers:
    """How many mutants got which status, and which got one that none may get."""

    statuses: dict[int, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def take(self, mutant: Mutant, response: httpx2.Response) -> None:
        status = response.status_code
        self.statuses[status] = self.statuses.get(status, 0) + 1
        code = response.json()["error"]["code"] if status == 400 else None
        if status != 200 and code not in KNOWN_CODES:
            self.findings.append(Finding(mutant.number, f"HTTP {status}: {response.text}"))


def post(mutants: Iterator[Mutant]) -> Answers:
    """Post them all to a server with the bundled model, and see whether it is well afterwards."""
    answers = Answers()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--model", "callsign", "--max-audio-seconds", str(MAX_SECONDS))
        with ServerProcess(*arguments, environ=environment(Path(folder))) as server:
            asyncio.run(_post_all(server.url, mutants, answers))
            with server.client() as client:
                counters = Counters(client)
            lost = {
                reason: counters[f'asr_decode_worker_restarts_total{{reason="{reason}"}}'] for reason in WORKER_RESTARTS
            }
            if any(lost.values()):
                answers.findings.append(Finding(-1, f"the server lost workers: {lost}"))
            if code := server.stop():
                answers.findings.append(Finding(-1, f"the server ended with {code}"))
    return answers


async def _post_all(url: str, mutants: Iterator[Mutant], answers: Answers) -> None:
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client, asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(_post_some(client, mutants, answers))


async def _post_some(client: httpx2.AsyncClient, mutants: Iterator[Mutant], answers: Answers) -> None:
    for mutant in mutants:
        options = mutant.options
        fields = {"vad": options.vad, "denoise": options.denoise, "normalize": options.normalize}
        data = {name: str(value).lower() for name, value in fields.items()}
        files = {"file": ("speech", mutant.data, "application/octet-stream")}
        answers.take(mutant, await client.post("/transcribe", data=data, files=files))
