"""Every spelling in which clients send the fields, and what the fields do."""

import json

from asr_api.conformance.answer import Answer, objects_of, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.server import ALIKE, TRANSCRIPTIONS, Server
from asr_api.conformance.themes.granularities import WORD
from asr_api.conformance.verdict import expect, shown
from asr_api.selftest import likeness

VERBOSE = ("response_format", "verbose_json")
STRATEGY = {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300, "prefix_padding_ms": 300}
SPECIAL_TOKENS = "<|endoftext|><|startoftranscript|><|nospeech|> Hello. <|0.00|>"


def fields_may_come_before_the_file(server: Server) -> None:
    """The fields may stand before the file in the form.

    curl sends them in the order in which they were written.
    """
    answer = server.upload(TRANSCRIPTIONS, (VERBOSE,), file_first=False)
    expect("segments" in answer.json(), "an answer as if the fields had not been sent")


def fields_may_come_after_the_file(server: Server) -> None:
    """The fields may stand after the file in the form.

    Some clients send the file first.
    """
    answer = server.upload(TRANSCRIPTIONS, (VERBOSE,), file_first=True)
    expect("segments" in answer.json(), "an answer as if the fields had not been sent")


def arrays_may_have_brackets(server: Server) -> None:
    """`timestamp_granularities[]=word` asks for words.

    OpenAI's clients send it so.
    """
    objects_of(server.transcribe(("timestamp_granularities[]", "word"), VERBOSE).json(), "words")


def arrays_may_have_no_brackets(server: Server) -> None:
    """`timestamp_granularities=word` asks for words.

    Users of curl write it so.
    """
    objects_of(server.transcribe(("timestamp_granularities", "word"), VERBOSE).json(), "words")


def arrays_may_repeat_without_brackets(server: Server) -> None:
    """`timestamp_granularities=word`, and again with `segment`, asks for both.

    Generic HTTP clients repeat a field that has several values.
    """
    fields = (("timestamp_granularities", "word"), ("timestamp_granularities", "segment"), VERBOSE)
    body = server.transcribe(*fields).json()
    objects_of(body, "words")
    objects_of(body, "segments")


def arrays_may_be_json(server: Server) -> None:
    """`timestamp_granularities=["word","segment"]` asks for both.

    Clients that know only strings in a form write arrays as JSON.
    """
    body = server.transcribe(("timestamp_granularities", '["word", "segment"]'), VERBOSE).json()
    objects_of(body, "words")
    objects_of(body, "segments")


def chunking_may_be_auto(server: Server) -> None:
    """`chunking_strategy=auto` is taken.

    OpenAI's guide recommends it.
    """
    _same_words(server, server.transcribe(chunking_strategy="auto"))


def chunking_may_have_brackets(server: Server) -> None:
    """`chunking_strategy[type]=server_vad` with its other fields is taken.

    OpenAI's clients send the object so.
    """
    fields = tuple((f"chunking_strategy[{key}]", str(value)) for key, value in STRATEGY.items())
    _same_words(server, server.transcribe(*fields))


def chunking_may_be_json(server: Server) -> None:
    """`chunking_strategy={"type":"server_vad"}` is taken.

    Clients that know only strings in a form write objects as JSON.
    """
    _same_words(server, server.transcribe(chunking_strategy=json.dumps(STRATEGY)))


def the_client_sends_a_chunking_strategy(server: Server) -> None:
    """OpenAI's client may send `auto` and an object as `chunking_strategy`.

    It is the only field that is an object.
    """
    for strategy in ("auto", STRATEGY):
        result = server.create(chunking_strategy=strategy)
        expect(likeness(result.text, server.text) >= ALIKE, f"text={shown(result.text)}")


def a_strategy_that_is_none_is_refused(server: Server) -> None:
    """A `chunking_strategy` that is neither `auto` nor an object is a 400 that names the field.

    Ignored, it would look like one that is served.
    """
    server.transcribe(chunking_strategy="sideways").refused_for("chunking_strategy")


def logprobs_may_be_included(server: Server) -> None:
    """`include[]=logprobs` adds `logprobs` to `json`: each with token, logprob and bytes.

    They are how clients judge a transcript.
    """
    body = server.transcribe(("include[]", "logprobs"), response_format="json").json()
    probabilities = objects_of(body, "logprobs")
    expect(probabilities != [] or not server.text, "no logprobs")
    for item in probabilities:
        text_of(item, "token")
        expect(isinstance(item.get("logprob"), float | int), f"logprob={shown(item.get('logprob'))}")
        expect(isinstance(item.get("bytes"), list), f"bytes={shown(item.get('bytes'))}")


def logprobs_are_left_out_unless_asked_for(server: Server) -> None:
    """Without `include[]` there are no `logprobs`.

    They are many times as long as the transcript.
    """
    body = server.transcribe(response_format="json").json()
    expect(body.get("logprobs") is None, f"logprobs={shown(body.get('logprobs'))}")


def the_client_reads_logprobs(server: Server) -> None:
    """OpenAI's client reads `logprobs` where it asked for them.

    Its users write `.logprobs[0].logprob`.
    """
    result = server.create(include=["logprobs"], response_format="json")
    expect(bool(result.logprobs), f"logprobs={shown(result.logprobs)}")
    expect(isinstance(result.logprobs[0].logprob, float | int), f"logprobs={shown(result.logprobs[0])}")


def an_unknown_inclusion_is_refused(server: Server) -> None:
    """An `include[]` that is not `logprobs` is a 400 that names the field.

    Ignored, it would look like one that is served.
    """
    server.transcribe(("include[]", "everything")).refused_for("include")


def a_language_may_be_named(server: Server) -> None:
    """`language=en` is taken, and `verbose_json` says `english` then.

    Clients that know the language save its detection.
    """
    language = text_of(server.transcribe(VERBOSE, language="en").json(), "language")
    expect(language.lower() == "english", f"language={shown(language)}")


def a_language_that_is_none_is_refused(server: Server) -> None:
    """A `language` that no model knows is a 400 that names the field.

    Ignored, the audio would be transcribed in another.
    """
    server.transcribe(language="klingon-7").refused_for("language")


def a_temperature_of_zero_may_be_sent(server: Server) -> None:
    """`temperature=0`, `0.0` and, from OpenAI's client, the number are taken.

    It is OpenAI's default, which most clients send.
    """
    for zero in ("0", "0.0"):
        _same_words(server, server.transcribe(temperature=zero))
    expect(isinstance(server.create(temperature=0).text, str), "no text")


def a_prompt_may_be_sent(server: Server) -> None:
    """`prompt` is taken, and an empty one is none.

    Clients send what came before the audio.
    """
    server.transcribe(prompt="A quiet conversation.").json()
    server.transcribe(prompt="").json()


def special_tokens_in_a_prompt_are_text(server: Server) -> None:
    """A prompt with Whisper's special tokens written out changes nothing but style.

    Taken as tokens, a user's text would steer the decoder, down to an empty transcript.
    """
    text = text_of(server.transcribe(prompt=SPECIAL_TOKENS).json(), "text")
    expect(text.strip() != "" or not server.text, f"text={shown(text)}")
    expect("<|" not in text, f"text={shown(text)}")


def stream_may_be_false(server: Server) -> None:
    """`stream=false` is the answer as if it had not been sent.

    OpenAI's clients send booleans so.
    """
    _same_words(server, server.transcribe(stream="false"))


def keywords_are_taken_or_named(server: Server) -> None:
    """`keywords[]` is taken, or is a 400 that names it.

    It belongs to `gpt-transcribe`; ignored, it would look like a field that is served.
    """
    _taken_or_named(server.transcribe(("keywords[]", "Digium")), "keywords")


def languages_are_taken_or_named(server: Server) -> None:
    """`languages[]` is taken, or is a 400 that names it.

    It belongs to `gpt-transcribe`; ignored, it would look like a field that is served.
    """
    _taken_or_named(server.transcribe(("languages[]", "en")), "languages")


def words_may_be_asked_for_in_any_order(server: Server) -> None:
    """`timestamp_granularities[]` may come before the `response_format` that it needs, and after it.

    A form has no order; a server that reads it in one refuses good requests.
    """
    for fields in ((WORD, VERBOSE), (VERBOSE, WORD)):
        objects_of(server.transcribe(*fields).json(), "words")


def _same_words(server: Server, answer: Answer) -> None:
    text = text_of(answer.json(), "text")
    expect(likeness(text, server.text) >= ALIKE, f"text={shown(text)}")


def _taken_or_named(answer: Answer, field: str) -> None:
    if answer.status == 200:
        text_of(answer.json(), "text")
    else:
        answer.refused_for(field)


FIELDS = Theme(
    "fields and spellings",
    (
        fields_may_come_before_the_file,
        fields_may_come_after_the_file,
        arrays_may_have_brackets,
        arrays_may_have_no_brackets,
        arrays_may_repeat_without_brackets,
        arrays_may_be_json,
        chunking_may_be_auto,
        chunking_may_have_brackets,
        chunking_may_be_json,
        the_client_sends_a_chunking_strategy,
        a_strategy_that_is_none_is_refused,
        logprobs_may_be_included,
        logprobs_are_left_out_unless_asked_for,
        the_client_reads_logprobs,
        an_unknown_inclusion_is_refused,
        a_language_may_be_named,
        a_language_that_is_none_is_refused,
        a_temperature_of_zero_may_be_sent,
        a_prompt_may_be_sent,
        special_tokens_in_a_prompt_are_text,
        stream_may_be_false,
        keywords_are_taken_or_named,
        languages_are_taken_or_named,
        words_may_be_asked_for_in_any_order,
    ),
)
