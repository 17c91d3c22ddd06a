"""Telephone prompts and music from Debian's packages: an hour and more of real recordings, most with their texts.

The packages are fetched by apt and unpacked into a folder of our own: nothing is installed, and nobody
need be root.
"""

import gzip
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from benchmarks.harness.clips import Clip
from platformdirs import user_cache_path

from asr_api.transcription import Samples

from .signals import write_flac

CACHE = user_cache_path("asr-api") / "accuracy" / "debian"
MUSIC = "asterisk-moh-opsound-wav"
PROMPT = re.compile(r"^(?P<name>[\w./-]+):\s*(?P<text>[^\[(<~].*)$", re.MULTILINE)
"""A line of the texts; what is no speech stands in brackets."""


class NoPackages(Exception):
    """Debian's packages cannot be had here; the message says why."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who reads the prompts of a language, and whether their texts come with them."""

    language: str
    voice: str
    texts: bool

    @property
    def sounds(self) -> str:
        return f"asterisk-core-sounds-{self.language}-g722"

    @property
    def words(self) -> str:
        return f"asterisk-core-sounds-{self.language}"


SPEAKERS = (
    Speaker("en", "en_US_f_Allison", texts=True),
    Speaker("ru", "ru_RU_f_IvrvoiceRU", texts=True),
    Speaker("es", "es_MX_f_Allison", texts=False),
    Speaker("fr", "fr_CA_f_June", texts=False),
    Speaker("it", "it_IT_m_Carlo", texts=False),
)


def prompts(language: str) -> list[Clip]:
    """All prompts of a language in the order of their names; the text is empty where it does not come along.

    Single letters, digits, days and months are among them, under `letters/`, `digits/` and `phonetic/`: the
    name of a clip's file is the prompt's, with `+` for the slash. Raises NoPackages.
    """
    speaker = next(one for one in SPEAKERS if one.language == language)
    root = unpacked([speaker.sounds, *([speaker.words] if speaker.texts else [])])
    texts = texts_of(root, speaker) if speaker.texts else {}
    folder = root / "usr/share/asterisk/sounds" / speaker.voice
    found = [(path, str(path.relative_to(folder).with_suffix(""))) for path in sorted(folder.rglob("*.g722"))]
    return [
        _clip(path, name, speaker, texts.get(name, ""))
        for path, name in found
        if path.stat().st_size and not name.startswith("silence/") and (not speaker.texts or name in texts)
    ]


def music() -> list[Path]:
    """Pieces of music in which nobody sings or speaks, some minutes each. Raises NoPackages."""
    return sorted((unpacked([MUSIC]) / "usr/share/asterisk/moh").glob("*.wav"))


def texts_of(root: Path, speaker: Speaker) -> dict[str, str]:
    """What is said in each prompt, by its name."""
    path = root / "usr/share/doc" / speaker.words / f"core-sounds-{speaker.language}.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {match["name"]: " ".join(match["text"].split()) for match in PROMPT.finditer(file.read())}


def unpacked(packages: Sequence[str]) -> Path:
    """The folder into which these packages were unpacked, now or in an earlier run."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for package in packages:
        done = CACHE / f".{package}"
        if not done.exists():
            _fetch(package)
            done.touch()
    return CACHE


def _fetch(package: str) -> None:
    if not shutil.which("apt-get"):
        raise NoPackages("this machine has no apt-get: Debian's recordings cannot be fetched")
    try:
        subprocess.run(["apt-get", "download", package], cwd=CACHE, check=True, capture_output=True, text=True)
        (archive,) = CACHE.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", str(archive), str(CACHE)], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise NoPackages(f"{package} cannot be fetched (apt-get update first?): {error.stderr.strip()}") from error
    archive.unlink()


def _clip(path: Path, name: str, speaker: Speaker, text: str) -> Clip:
    """The prompt as FLAC, which every side can read, made once."""
    flac = CACHE / "flac" / speaker.language / f"{name.replace('/', '+')}.flac"
    if not flac.exists():
        flac.parent.mkdir(parents=True, exist_ok=True)
        write_flac(flac, read_g722(path))
    return Clip(flac, speaker.language, text, _seconds(flac))


def read_g722(path: Path) -> Samples:
    """Raw G.722 at 16 kHz as samples within full scale."""
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames, dtype=np.float32, casting="unsafe") / np.float32(32768)


def _seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
