"""Whisper on CTranslate2: one model, several workers with shared weights."""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np

from asr_api.engine.abilities import choose_compute_type, choose_device, threads_of_a_call
from asr_api.engine.alignment import word_times
from asr_api.engine.cuda import load_cublas
from asr_api.engine.protocol import LEAST_PROBABILITY, LIKELIEST, WORKERS, DecodingResult, DecodingTask, EngineInfo
from asr_api.engine.vocabulary import WordTokens, load_vocabulary
from asr_api.errors import EngineFailure, EngineFatal, EngineOutOfMemory, ModelUnavailable
from asr_api.spectrogram import Features, stacked
from asr_api.transcription import Task, TokenLogprob

POSITIONS = 448
"""Positions of Whisper's decoder."""

OUT_OF_MEMORY = "out of memory"
"""How CUDA says it, in whatever sentence CTranslate2 wraps it."""

FATAL = ("CUDA failed with error", "cuBLAS failed with status", "cuDNN failed with status")
"""What CTranslate2 raises where the driver or a library failed (cuda/utils.h): the context may be lost by then."""

Detection = tuple[tuple[str, float], ...]
"""Languages with their probabilities, the likeliest first; there is always one."""


class WhisperEngine:
    """The `Engine` of production. Build it in a thread that ends, so that no worker gets CUDA's default stream."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        revision: str | None = None,
        device: str = "auto",
        device_index: Sequence[int] = (0,),
        compute_type: str = "auto",
        num_workers: int = 0,
        cpu_threads: int = 0,
        max_encode_batch: int = 8,
        fingerprint: str = "",
    ) -> None:
        """Load a model folder. Raises ModelUnavailable where it cannot be loaded."""
        self._max_encode_batch = max_encode_batch
        device = choose_device(device)
        if device == "cuda":
            load_cublas()
        workers = num_workers or WORKERS
        try:
            self._vocabulary = load_vocabulary(folder, name)
            self._model = ctranslate2.models.Whisper(
                str(folder),
                device=device,
                device_index=list(device_index) if device == "cuda" else 0,
                compute_type=choose_compute_type(compute_type, device),
                inter_threads=workers,
                intra_threads=cpu_threads or threads_of_a_call(workers),
                max_queued_batches=-1,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelUnavailable(f"the model {name} cannot be loaded from {folder}: {error}") from error
        self._info = EngineInfo(
            model=name,
            device=self._model.device,
            compute_type=self._model.compute_type,
            num_workers=workers * len(self._model.device_index),
            n_mels=self._model.n_mels,
            languages=self._vocabulary.languages if self._model.is_multilingual else ("en",),
            revision=revision or "",
            library=ctranslate2.__version__,
            fingerprint=fingerprint,
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def _dtype(self) -> type[np.float16 | np.float32]:
        """What the engine takes without a conversion: half floats on a GPU, single ones on a CPU."""
        return np.float16 if self._info.device == "cuda" else np.float32

    def tokenize(self, text: str) -> tuple[int, ...]:
        return self._vocabulary.encode(text)

    def close(self) -> None:
        self._model.unload_model()

    def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        """Encode once; detect languages where asked; search; align where times are asked for.

        Raises EngineOutOfMemory, EngineFatal where CUDA is of no use any more, or EngineFailure for
        whatever else CTranslate2 raises.
        """
        features = stacked([task.features for task in tasks], self._dtype, tasks[0].options.audio_context)
        try:
            return self._decode(features, tasks)
        except RuntimeError as error:
            raise failure_of(error) from error

    def _decode(self, features: Features, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult]:
        encoded = self._encode(features)
        detections = self._detect(encoded, tasks)
        found = self._search(encoded, tasks, detections)
        results = [
            self._result(task, detection, generated)
            for task, detection, generated in zip(tasks, detections, found, strict=True)
        ]
        return self._with_alignments(encoded, tasks, results)

    def _encode(self, features: Features) -> ctranslate2.StorageView:
        """The encoder's output, made of at most `max_encode_batch` chunks at a time: its memory peaks here.

        It is brought to the host where it is joined of parts, and where there are several GPUs:
        another one than that which encoded may take the next call.
        """
        size = self._max_encode_batch
        parts = [features[n : n + size] for n in range(0, len(features), size)]
        to_cpu = len(parts) > 1 or len(self._model.device_index) > 1
        views = [self._model.encode(ctranslate2.StorageView.from_array(part), to_cpu=to_cpu) for part in parts]
        if len(views) == 1:
            return views[0]
        return ctranslate2.StorageView.from_array(np.concatenate([np.array(view) for view in views]))

    def _detect(self, encoded: ctranslate2.StorageView, tasks: Sequence[DecodingTask]) -> list[Detection]:
        if not self._model.is_multilingual:
            return [(("en", 1.0),)] * len(tasks)
        if all(task.language for task in tasks):
            return [((task.language or "", 1.0),) for task in tasks]
        ranked = self._model.detect_language(encoded)
        heard = [tuple((token[2:-2], float(probability)) for token, probability in row[:LIKELIEST]) for row in ranked]
        return [((task.language, 1.0),) if task.language else row for task, row in zip(tasks, heard, strict=True)]

    def _search(
        self, encoded: ctranslate2.StorageView, tasks: Sequence[DecodingTask], detections: Sequence[Detection]
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        options = tasks[0].options
        sampling = options.temperature > 0
        prompts = [
            self._vocabulary.prompt(self._language(detected), task.task, task.prompt)
            for task, ((detected, _), *_) in zip(tasks, detections, strict=True)
        ]
        found = self._model.generate(
            encoded,
            prompts,
            beam_size=1 if sampling else options.beam_size,
            sampling_topk=0 if sampling else 1,
            sampling_temperature=options.temperature if sampling else 1.0,
            patience=options.patience,
            length_penalty=options.length_penalty,
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            suppress_blank=options.suppress_blank,
            suppress_tokens=[token for token in options.suppress_tokens if token < self._vocabulary.size],
            max_length=max_length(options.max_tokens, len(prompts[0])),
            return_scores=True,
            return_no_speech_prob=True,
        )
        if len(found) != len(tasks):
            raise EngineFailure(f"the engine gave {len(found)} results for {len(tasks)} chunks")
        return list(found)

    def _language(self, detected: str) -> str | None:
        return detected if self._model.is_multilingual else None

    def _result(
        self, task: DecodingTask, detection: Detection, generated: ctranslate2.models.WhisperGenerationResult
    ) -> DecodingResult:
        tokens = tuple(token for token in generated.sequences_ids[0] if token < self._vocabulary.end_of_text)
        text = self._vocabulary.decode(tokens)
        length = len(generated.sequences_ids[0])
        return DecodingResult(
            text=text,
            tokens=tokens,
            language=detection[0][0],
            language_probability=detection[0][1],
            languages=() if task.language else detection,
            temperature=task.options.temperature,
            avg_logprob=generated.scores[0] * length**task.options.length_penalty / (length + 1),
            no_speech_prob=generated.no_speech_prob,
            compression_ratio=compression_ratio(text),
        )

    def _with_alignments(
        self, encoded: ctranslate2.StorageView, tasks: Sequence[DecodingTask], results: Sequence[DecodingResult]
    ) -> list[DecodingResult]:
        """Results with what `align` tells where tasks ask for it: one call for each language and task, since it takes
        one start sequence.
        """
        groups: dict[tuple[str | None, Task], list[int]] = defaultdict(list)
        for row, (task, result) in enumerate(zip(tasks, results, strict=True)):
            if result.tokens and (task.timestamps or task.logprobs):
                groups[self._language(result.language), task.task].append(row)
        aligned = dict(enumerate(results))
        for (language, task_name), rows in groups.items():
            start = self._vocabulary.start_sequence(language, task_name)
            part = encoded if len(rows) == len(tasks) else gather(encoded, rows)
            aligned.update(zip(rows, self._align(part, start, rows, tasks, results), strict=True))
        return list(aligned.values())

    def _align(
        self,
        encoded: ctranslate2.StorageView,
        start: list[int],
        rows: Sequence[int],
        tasks: Sequence[DecodingTask],
        results: Sequence[DecodingResult],
    ) -> list[DecodingResult]:
        aligned = self._model.align(
            encoded,
            start,
            [list(results[row].tokens) for row in rows],
            [round(tasks[row].duration * 100) for row in rows],
        )
        return [self._timed(tasks[row], results[row], alignment) for row, alignment in zip(rows, aligned, strict=True)]

    def _timed(
        self, task: DecodingTask, result: DecodingResult, alignment: ctranslate2.models.WhisperAlignmentResult
    ) -> DecodingResult:
        """The result with what its task asks of the alignment: times, or probabilities, or both."""
        if task.timestamps:
            words = self._words(task.task, result)
            result = replace(result, words=word_times(alignment, words, task.features, task.duration))
        if task.logprobs:
            probabilities = zip(result.tokens, alignment.text_token_probs, strict=False)
            logprobs = (
                TokenLogprob(self._vocabulary.bytes_of(token), math.log(max(probability, LEAST_PROBABILITY)))
                for token, probability in probabilities
            )
            result = replace(result, logprobs=tuple(logprobs))
        return result

    def _words(self, task: Task, result: DecodingResult) -> list[WordTokens]:
        return self._vocabulary.words(result.tokens, "en" if task == "translate" else result.language)


def gather(encoded: ctranslate2.StorageView, rows: Sequence[int]) -> ctranslate2.StorageView:
    """Some rows of an encoder output, by way of the host: CTranslate2 has no such operation of its own."""
    on_host = encoded.to_device(ctranslate2.Device.cpu) if encoded.device != "cpu" else encoded
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(np.array(on_host)[list(rows)]))


def failure_of(error: RuntimeError) -> EngineFailure:
    """What CTranslate2 raised, told apart by its words: it has one class for all."""
    if OUT_OF_MEMORY in str(error).lower():
        return EngineOutOfMemory("the GPU has no memory left for this audio now")
    if any(library in str(error) for library in FATAL):
        return EngineFatal("the GPU failed on this audio")
    return EngineFailure("the engine failed on this audio")


def max_length(max_tokens: int, prompt_length: int) -> int:
    """CTranslate2's `max_length` for which it writes at most `max_tokens` after a prompt of so many tokens.

    It writes min(max_length / 2, max_length - prompt_length + 1) at most, and has 448 positions
    (CTranslate2, whisper.cc).
    """
    return min(POSITIONS, max(2 * max_tokens, max_tokens + prompt_length - 1))


def compression_ratio(text: str) -> float:
    """How far zlib compresses the text: above 2.4 it repeats itself (openai/whisper, utils.py).

    A byte a character, in any script. Whisper takes UTF-8, of which Cyrillic letters have two bytes, and the first
    says next to nothing: a Russian list of a few options is at 2.5 there without a word too many, and at 1.8 here,
    as it is in English. ASCII is the same in both.
    """
    letters = {letter: 128 + n % 128 for n, letter in enumerate(dict.fromkeys(text)) if not letter.isascii()}
    data = bytes(letters.get(letter) or ord(letter) for letter in text)
    return len(data) / len(zlib.compress(data))
