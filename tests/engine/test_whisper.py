"""The engine on the bundled model: real decoding of real audio."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.engine.abilities import available_cores, choose_compute_type, choose_device, threads_of_a_call
from asr_api.engine.protocol import MAX_TOKENS, DecodingResult
from asr_api.engine.whisper import WhisperEngine, compression_ratio, failure_of, max_length
from asr_api.errors import EngineFailure, EngineFatal, ModelUnavailable
from tests.engine.conftest import CALLSIGN, MakeTask


def words(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def read(engine: WhisperEngine, *tasks: object) -> list[DecodingResult]:
    results = engine.decode(tasks)  # type: ignore[arg-type]
    return [result for result in results if isinstance(result, DecodingResult)]


def test_a_batch_of_all_languages_reads_and_detects_each(
    engine: WhisperEngine, task_of: MakeTask, texts: dict[str, str]
) -> None:
    """Languages mix freely in a call: each row gets its own words and its own language."""
    names = [f"{language}-01.flac" for language in ("en", "de", "es", "fr", "it", "zh")]
    results = read(engine, *[task_of(name) for name in names])
    assert [words(result.text) for result in results] == [words(texts[name]) for name in names]
    assert [result.language for result in results] == ["en", "de", "es", "fr", "it", "zh"]
    assert all(0.5 < result.language_probability <= 1 for result in results)


def test_an_answer_does_not_depend_on_its_mates(engine: WhisperEngine, task_of: MakeTask) -> None:
    """Alone or among others: the same tokens, the same times, the same scores."""
    names = [f"en-{n:02d}.flac" for n in range(1, 7)] + ["de-01.flac", "zh-01.flac"]
    tasks = [task_of(name, timestamps=True) for name in names]
    together = read(engine, *tasks)
    for task, among in zip(tasks, together, strict=True):
        (alone,) = read(engine, task)
        assert (alone.tokens, alone.language) == (among.tokens, among.language)
        assert alone.avg_logprob == pytest.approx(among.avg_logprob, abs=1e-4)
        assert [(w.word, w.start, w.end) for w in alone.words] == [(w.word, w.start, w.end) for w in among.words]


def test_a_given_language_and_one_to_detect_may_share_a_call(engine: WhisperEngine, task_of: MakeTask) -> None:
    """What the caller knows is kept with probability 1; the other row is detected."""
    known, open_one = read(engine, task_of("de-01.flac", language="de"), task_of("fr-01.flac"))
    assert (known.language, known.language_probability) == ("de", 1.0)
    assert open_one.language == "fr"
    assert open_one.language_probability < 1


def test_translate_writes_english(engine: WhisperEngine, task_of: MakeTask) -> None:
    """The task is per row too, and the language stays that of the speech."""
    german, english = read(engine, task_of("de-01.flac"), task_of("de-01.flac", task="translate"))
    assert (german.language, english.language) == ("de", "de")
    digits = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
    assert set(english.text.split()) <= digits
    assert not set(german.text.split()) <= digits


def test_word_times_lie_within_the_audio_and_in_order(engine: WhisperEngine, task_of: MakeTask) -> None:
    """Words are the text, their tokens the tokens, and their times never run backwards."""
    task = task_of("en-02.flac", timestamps=True)
    (result,) = read(engine, task)
    assert "".join(word.word for word in result.words) == result.text
    assert tuple(token for word in result.words for token in word.tokens) == result.tokens
    times = [time for word in result.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= task.duration
    assert all(0 < word.probability <= 1 for word in result.words)


def test_without_timestamps_there_are_no_words_and_the_same_text(engine: WhisperEngine, task_of: MakeTask) -> None:
    """The transcript is the same in every response format."""
    (plain,) = read(engine, task_of("en-03.flac"))
    (timed,) = read(engine, task_of("en-03.flac", timestamps=True))
    assert (plain.words, plain.text) == ((), timed.text)


def test_a_prompt_is_taken_and_its_text_is_not_repeated(
    engine: WhisperEngine, task_of: MakeTask, texts: dict[str, str]
) -> None:
    """Previous text stands before the start token and never in the answer."""
    prompt = engine.tokenize("alpha bravo")
    (result,) = read(engine, task_of("en-04.flac", language="en", prompt=prompt))
    assert words(result.text) == words(texts["en-04.flac"])


def test_info_tells_what_runs(engine: WhisperEngine) -> None:
    """Model, device and compute type are those that CTranslate2 took."""
    info = engine.info
    assert (info.model, info.device, info.compute_type, info.n_mels) == ("callsign", "cpu", "float32", 128)
    assert len(info.languages) == 100
    assert {"en", "zh", "yue"} <= set(info.languages)


def test_auto_means_float16_on_a_gpu_and_int8_on_a_cpu() -> None:
    """What is said is kept, and `auto` follows the device."""
    assert (choose_device("cpu"), choose_device("cuda")) == ("cpu", "cuda")
    assert [choose_compute_type("auto", device) for device in ("cuda", "cpu")] == ["float16", "int8"]
    assert choose_compute_type("float32", "cuda") == "float32"


def test_a_folder_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    """The sentence has the model and the folder."""
    for name in ("tokenizer.json", "config.json"):
        (tmp_path / name).write_bytes((CALLSIGN / name).read_bytes())
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(ModelUnavailable, match="the model mine cannot be loaded"):
        WhisperEngine(tmp_path, name="mine", device="cpu")


def test_gather_takes_rows_of_an_encoding(engine: WhisperEngine, task_of: MakeTask) -> None:
    """Mixed languages are aligned by groups of rows; their words are those of each row alone."""
    tasks = [task_of(name, timestamps=True) for name in ("de-02.flac", "en-05.flac", "de-03.flac")]
    assert [[w.word for w in r.words] for r in read(engine, *tasks)] == [
        [w.word for w in read(engine, task)[0].words] for task in tasks
    ]


def test_encoding_in_parts_changes_nothing(engine: WhisperEngine, task_of: MakeTask) -> None:
    """At most `max_encode_batch` chunks are encoded at a time; the search still has them all."""
    in_parts = WhisperEngine(CALLSIGN, name="callsign", device="cpu", compute_type="float32", max_encode_batch=2)
    tasks = [task_of(f"en-{n:02d}.flac", timestamps=True) for n in range(1, 6)]
    assert [(r.text, r.words) for r in read(in_parts, *tasks)] == [(r.text, r.words) for r in read(engine, *tasks)]


def test_the_cap_of_tokens_holds(engine: WhisperEngine, task_of: MakeTask) -> None:
    """No more than `max_tokens` are written, with and without a prompt."""
    for prompt in ((), engine.tokenize("alpha bravo charlie delta")):
        task = task_of("en-01.flac", prompt=prompt)
        (whole,) = read(engine, task)
        options = replace(task.options, max_tokens=4)
        (cut,) = read(engine, replace(task, options=options))
        assert len(cut.tokens) <= 4 < len(whole.tokens)


@given(st.sampled_from([96, MAX_TOKENS]), st.integers(2, 228))
def test_max_length_is_what_leaves_room_for_the_tokens(tokens: int, prompt_length: int) -> None:
    """By CTranslate2's rule of what it writes at most; only the 448 positions set another bound."""
    length = max_length(tokens, prompt_length)
    written = min(length // 2, length - prompt_length + 1)
    assert length <= 448
    assert written == min(tokens, 448 - prompt_length + 1)


def test_running_out_of_memory_is_told_apart() -> None:
    """Only the text of CTranslate2's exception tells; its words never reach a client."""
    memory = failure_of(RuntimeError("CUDA failed with error out of memory"))
    other = failure_of(RuntimeError("CUDA failed with error an illegal memory access was encountered"))
    assert (memory.code, memory.status) == ("engine_out_of_memory", 503)
    assert (type(other), other.status) == (EngineFatal, 500)
    assert type(failure_of(RuntimeError("vocabulary"))) is EngineFailure
    assert "CUDA" not in memory.message + other.message


@pytest.mark.parametrize(
    "option",
    [
        "press {} to lower the volume of all others",
        "нажмите {} чтобы уменьшить громкость остальных",
        "सबकी आवाज़ कम करने के लिए {} दबाएँ",
        "要降低其他人的音量请按{}",
    ],
    ids=["en", "ru", "hi", "zh"],
)
def test_compression_ratio_means_the_same_in_every_script(option: str) -> None:
    """What is said twice passes, what is said eight times over does not, however many bytes a letter has."""
    assert compression_ratio(", ".join(option.format(number) for number in (1, 2))) < 2.4
    assert compression_ratio(", ".join(option.format(number) for number in range(8))) > 2.4


def test_compression_ratio_of_ascii_is_whispers() -> None:
    """The threshold was found on it; and nothing repeats itself in no text."""
    text = "Press 1 to talk, press 2 to listen, or press 3 to do neither."
    assert compression_ratio(text) == len(text) / len(zlib.compress(text.encode()))
    assert compression_ratio("") == 0


def test_a_list_of_options_is_no_repetition() -> None:
    """A Russian one is above the threshold in UTF-8, although nothing in it is said twice."""
    text = (
        "Нажмите один, чтобы включить или выключить микрофон, два, чтобы заблокировать или разблокировать "
        "конференцию, три, чтобы удалить из конференции последнего участника, четыре или шесть, чтобы уменьшить "
        "или увеличить громкость звука, пять, чтобы расширить конференцию, семь или девять, чтобы уменьшить или "
        "увеличить громкость вашего голоса, или восемь, чтобы выйти из конференции."
    )
    assert len(text.encode()) / len(zlib.compress(text.encode())) > 2.4 > 2.2 > compression_ratio(text)


def test_compression_ratio_tells_repetition() -> None:
    """Whisper's own measure: repeated text compresses far better than speech does."""
    assert compression_ratio("alpha " * 50) > 2.4 > compression_ratio("the quick brown fox jumps over the lazy dog")


def test_tokens_that_are_suppressed_are_not_written(engine: WhisperEngine, task_of: MakeTask) -> None:
    """Those of the request; ids that the vocabulary lacks (CTranslate2 would write past its memory) are not."""
    task = task_of("en-01.flac", language="en")
    (free,) = read(engine, task)
    banned = (-1, *free.tokens[:1], 51_863)
    (kept,) = read(engine, replace(task, options=replace(task.options, suppress_tokens=banned)))
    assert free.tokens[0] not in kept.tokens


def test_scores_are_means_whatever_the_length_penalty(engine: WhisperEngine, task_of: MakeTask) -> None:
    """The average log probability is that of the text, not of how the search compared it."""
    task = task_of("en-02.flac", language="en")
    scores = []
    for penalty in (0.0, 0.5, 1.0, 2.0):
        options = replace(task.options, beam_size=2, length_penalty=penalty)
        (found,) = read(engine, replace(task, options=options))
        scores.append((found.text, found.avg_logprob))
    same = [score for text, score in scores if text == scores[2][0]]
    assert len(same) >= 2
    assert same == pytest.approx([same[0]] * len(same), abs=1e-4)


def test_logprobs_are_those_of_the_text(engine: WhisperEngine, task_of: MakeTask) -> None:
    """One for each token, whose bytes together are the text."""
    task = task_of("zh-01.flac")
    (found,) = read(engine, replace(task, logprobs=True))
    assert b"".join(one.data for one in found.logprobs).decode() == found.text
    assert len(found.logprobs) == len(found.tokens)
    assert all(-25 < one.logprob <= 0 for one in found.logprobs)
    assert found.words == ()


def test_two_calls_are_in_flight_unless_told_otherwise() -> None:
    """On a CPU, too. One or two have all cores each; more share twice the cores, and none is left without a thread."""
    assert WhisperEngine(CALLSIGN, name="callsign", device="cpu").info.num_workers == 2
    cores = available_cores()
    assert [threads_of_a_call(workers) for workers in (1, 2, 4, 100 * cores)] == [cores, cores, max(1, cores // 2), 1]
