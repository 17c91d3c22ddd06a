"""The other side: faster-whisper in this process, each recording by a call of its own."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.harness.clips import Clip
from faster_whisper import WhisperModel, decode_audio

from asr_api.engine.whisper import available_cores

from .heard import Heard, TimedWord


class FasterWhisper:
    """`WhisperModel.transcribe` on the CPU, as many calls at once as there are cores, with a thread each."""

    def __init__(self, folder: Path, compute_type: str) -> None:
        self._workers = available_cores()
        self._model = WhisperModel(
            str(folder),
            device="cpu",
            compute_type=compute_type,
            cpu_threads=1,
            num_workers=self._workers,
            local_files_only=True,
        )

    def hear(self, clips: Sequence[Clip], options: Mapping[str, bool | int]) -> list[Heard]:
        """The transcripts in the order of the clips, with the library's defaults for all but `options`."""
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(lambda clip: self._hear(clip, options), clips))

    def _hear(self, clip: Clip, options: Mapping[str, bool | int]) -> Heard:
        found, info = self._model.transcribe(decode_audio(str(clip.path)), **options)
        segments = list(found)
        words = tuple(TimedWord(word.word, word.start, word.end) for one in segments for word in one.words or ())
        return Heard("".join(segment.text for segment in segments).strip(), info.language, words)
