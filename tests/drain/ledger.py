"""Clients that account for every request they sent."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..e2e.recordings import Recording, words
from ..http.fakes import multipart

Fate = Literal["200", "503", "refused", "lost"]
ANSWER_SECONDS = 60.0
BUSY_UPLOAD = 0.05
"""Seconds that the two halves of a body are apart, at most."""


@dataclass
class Ledger:
    """What became of each request; `lost` tells of those that have no right answer."""

    fates: Counter[Fate] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def lose(self, why: str) -> None:
        self.fates["lost"] += 1
        self.lost.append(why)

    def add(self, other: "Ledger") -> None:
        self.fates.update(other.fates)
        self.lost.extend(other.lost)

    @property
    def requests(self) -> int:
        return self.fates.total()


class Caller:
    """Asks again and again, over one connection or fresh ones, until the port is closed."""

    def __init__(self, port: int, clips: Sequence[Recording], ledger: Ledger, seed: str) -> None:
        self._port = port
        self._clips = clips
        self._ledger = ledger
        self._chance = random.Random(seed)
        self._keeps = self._chance.random() < 0.5
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self) -> None:
        while await self._ask():
            pass
        await self._hang_up()

    async def _ask(self) -> bool:
        """One request; False where the port is closed."""
        streams = await self._connection()
        if streams is None:
            self._ledger.fates["refused"] += 1
            return False
        clip = self._chance.choice(self._clips)
        sent = False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                for part in self._parts(clip):
                    streams[1].write(part)
                    await streams[1].drain()
                    sent = True
                    await asyncio.sleep(self._chance.uniform(0, BUSY_UPLOAD))
                await self._hear(clip, streams[0])
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self._ledger.lose(f"{error!r} (sent: {sent}, kept: {self._keeps})")
            await self._hang_up()
        return True

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The one that is open, unless the server has closed it by now, or another."""
        await asyncio.sleep(0)
        if self._streams is not None and not self._streams[0].at_eof():
            return self._streams
        await self._hang_up()
        try:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        except ConnectionRefusedError:
            return None
        return self._streams

    def _parts(self, clip: Recording) -> list[bytes]:
        body, headers = multipart(("file", clip.path.read_bytes()))
        head = f"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += f"Content-Type: {headers['content-type']}\r\n\r\n"
        cut = self._chance.randrange(len(body))
        return [head.encode() + body[:cut], body[cut:]]

    async def _hear(self, clip: Recording, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ", 1)[1].split("\r\n", 1)[0])
        body = json.loads(await reader.readexactly(length))
        status = head.split()[1]
        if status == "200" and words(body["text"]) == words(clip.text):
            self._ledger.fates["200"] += 1
        elif status == "503" and body["error"]["code"] == "draining":
            self._ledger.fates["503"] += 1
        else:
            self._ledger.lose(f"{status}: {body}")
        if not self._keeps or "connection: close" in head:
            await self._hang_up()

    async def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
            await asyncio.sleep(0)
