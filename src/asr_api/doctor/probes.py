"""Looks at ports, folders, the hub and the decode workers."""

import asyncio
import errno
import http.client
import json
import os
import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from asr_api import __version__
from asr_api.assembly import build_pool
from asr_api.audio.confined import ConfinedFrontEnd
from asr_api.doctor.machine import Decoded, Folder, Port
from asr_api.errors import AsrError
from asr_api.metrics import Metrics
from asr_api.selftest import sample_for
from asr_api.settings import Settings
from asr_api.spool import Spool
from asr_api.transcription import AudioOptions

LIVEZ_SECONDS = 1.0
HUB_SECONDS = 3.0
DECODE_SECONDS = 30.0
"""How long each may take."""

MELS = 80
SAMPLE_SECONDS = 60.0
ROOM = 64 << 20
"""Enough for the sample, whatever the settings allow."""

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a client on this machine reaches what listens on all addresses."""


def look_at_port(host: str, port: int) -> Port:
    """Listens for a moment as the service would; asks who is there where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Port("refused", _reason(error))
        return Port("ours" if _is_alive(EVERYWHERE.get(host, host), port) else "taken")
    return Port("free")


def _is_alive(host: str, port: int) -> bool:
    """Whether `/livez` there answers as ours does."""
    connection = http.client.HTTPConnection(host, port, timeout=LIVEZ_SECONDS)
    try:
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        return answer.status == 200 and json.loads(answer.read(1000)) == {"status": "ok"}
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def look_at_folder(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> Folder:
    """Judged by the nearest folder that is there, in which a file without a name is made."""
    path = path.expanduser().absolute()
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        return Folder(nearest, 0, "", f"no file can be made there: {_reason(error)}")
    return Folder(nearest, shutil.disk_usage(nearest).free, filesystem_of(nearest, _lines(mounts)), "")


def filesystem_of(path: Path, mounts: Iterable[str]) -> str:
    """The kind of file system that `path` is on, by lines of /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    kind, deepest, real = "", -1, path.resolve()
    for line in mounts:
        place, _, rest = line.partition(" - ")
        folder = Path(place.split()[4].replace("\\040", " "))
        if real.is_relative_to(folder) and len(folder.parts) >= deepest:
            kind, deepest = rest.split()[0], len(folder.parts)
    return kind


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def ask_hub(endpoint: str, within: float = HUB_SECONDS) -> str:
    """What keeps `endpoint` from answering, "" if nothing; a resolver that hangs is not waited for."""
    faults: list[str] = []
    asking = threading.Thread(target=lambda: faults.append(_ask(endpoint, within)), daemon=True)
    asking.start()
    asking.join(within)
    return faults[0] if faults else f"nothing came within {within:g} s"


def _ask(endpoint: str, within: float) -> str:
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=within).close()
    except urllib.error.HTTPError:
        return ""  # it answers
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error))
    return ""


def decode_sample(settings: Settings, recording: Path | None = None) -> Decoded:
    """Has one confined worker prepare a recording, the one that comes with the package where there is none."""
    try:
        with open(recording or sample_for("base").path, "rb") as sample:
            return asyncio.run(_decode(sample, settings))
    except TimeoutError:
        return Decoded(fault=f"the worker did not get through the sample in {DECODE_SECONDS:g} s")
    except AsrError as error:
        return Decoded(fault=error.message)
    except OSError as error:
        return Decoded(fault=f"no worker can be started: {_reason(error)}")


async def _decode(sample: BinaryIO, settings: Settings) -> Decoded:
    metrics = Metrics(__version__)
    with tempfile.TemporaryDirectory(prefix="asr-api-doctor-") as folder:
        one = settings.model_copy(update={"decode_workers": 1, "spool_dir": Path(folder)})
        pool, spool = build_pool(one, metrics), Spool(Path(folder), ROOM, metrics)
        front_end = ConfinedFrontEnd(pool, partial(spool.file, 0), MELS, SAMPLE_SECONDS, one.vad_threshold)
        try:
            async with asyncio.timeout(DECODE_SECONDS):
                await pool.open()
                async with front_end.open(sample, AudioOptions()) as recording:
                    chunks = [chunk async for chunk in recording]
                    return Decoded(recording.seconds or 0.0, len(chunks))
        finally:
            await pool.close()


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
