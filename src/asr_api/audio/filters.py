"""libavfilter, for samples that come bit by bit."""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

from asr_api.transcription import SAMPLE_RATE, Samples


class Filter:
    """One of libavfilter's filters with a single input and output, for mono audio at 16 kHz.

    It gives as many samples as it takes, some of them later.
    """

    def __init__(self, name: str, options: str) -> None:
        self._graph = Graph()
        source = self._graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono")
        self._filter = self._graph.add(name, options)
        form = self._graph.add("aformat", "sample_fmts=flt")
        self._graph.link_nodes(source, self._filter, form, self._graph.add("abuffersink")).configure()
        self._position = 0  # samples taken
        self._given = 0

    def tell(self, option: str, value: float) -> None:
        """Change an option for what is pushed from now on."""
        self._filter.process_command(option, f"{value:.1f}")

    def push(self, samples: Samples | None) -> Iterator[Samples]:
        """What comes out by now; None, at the end, brings out what was held back.

        Raises MemoryError at the end where samples were lost.
        """
        self._graph.push(None if samples is None else self._frame(samples))
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):  # all that there is, for now or for good
                break
            assert isinstance(frame, AudioFrame)
            self._given += frame.samples
            yield frame.to_ndarray()[0].astype(np.float32, copy=False)

        if samples is None and self._given != self._position:  # where memory fails libavfilter drops, and says nothing
            raise MemoryError(f"{self._position - self._given} samples were lost in a filter")

    def _frame(self, samples: Samples) -> AudioFrame:
        frame = AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), self._position
        self._position += len(samples)
        return frame
