"""The other sides: faster-whisper in this process, each recording by a call of its own."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.harness.clips import Clip
from faster_whisper import BatchedInferencePipeline, WhisperModel, decode_audio

from asr_api.engine.abilities import available_cores

from .heard import Heard, TimedSegment, TimedWord
from .scores import BATCHED, WITH_VAD

Options = Mapping[str, Any]


class FasterWhisper:
    """faster-whisper with as many calls at once as there are cores, on a CPU with a thread each."""

    def __init__(self, folder: Path, compute_type: str, device: str = "cpu") -> None:
        self._workers = available_cores()
        self._model = WhisperModel(
            str(folder),
            device=device,
            compute_type=compute_type,
            cpu_threads=1,
            num_workers=self._workers,
            local_files_only=True,
        )
        self._batched = BatchedInferencePipeline(self._model)

    def hear(self, clips: Sequence[Clip], options: Options) -> list[Heard]:
        """`WhisperModel.transcribe` in the order of the clips, with the library's defaults for all but `options`."""
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(lambda clip: self._hear(clip, options), clips))

    def hear_as(self, comparator: str, clips: Sequence[Clip], **options: object) -> list[Heard]:
        """The transcripts by one of `COMPARATORS` (scores.py), with its defaults for all but `options`."""
        if comparator == BATCHED:
            with ThreadPoolExecutor(self._workers) as pool:
                return list(pool.map(lambda clip: self._hear_batched(clip, options), clips))
        return self.hear(clips, {"vad_filter": comparator == WITH_VAD} | options)

    def languages(self, clips: Sequence[Clip]) -> list[str]:
        """What `WhisperModel.transcribe` takes each clip's language for; nothing is decoded."""
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(self._language, clips))

    def _language(self, clip: Clip) -> str:
        _, info = self._model.transcribe(decode_audio(str(clip.path)))
        return str(info.language)

    def _hear(self, clip: Clip, options: Options) -> Heard:
        return heard(*self._model.transcribe(decode_audio(str(clip.path)), **options))

    def _hear_batched(self, clip: Clip, options: Options) -> Heard:
        return heard(*self._batched.transcribe(decode_audio(str(clip.path)), **options))


def heard(found: Iterable[Any], info: Any) -> Heard:  # noqa: ANN401 - the library's own
    """What faster-whisper gives, in our words."""
    segments = list(found)
    words = tuple(
        TimedWord(word.word, float(word.start), float(word.end)) for one in segments for word in one.words or ()
    )
    timed = tuple(TimedSegment(one.text, float(one.start), float(one.end), float(one.avg_logprob)) for one in segments)
    return Heard("".join(one.text for one in segments).strip(), info.language, words, timed)
