"""What the endpoint of translations answers."""

from asr_api.conformance.answer import absent, number_of, objects_of, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.server import TRANSLATIONS as PATH
from asr_api.conformance.server import Server
from asr_api.conformance.themes.subtitles import SRT_TYPES, VTT_TYPES
from asr_api.conformance.themes.verbose import SEGMENT
from asr_api.conformance.verdict import expect, shown


def a_translation_is_json(server: Server) -> None:
    """Without `response_format` a translation is an object with the string `text`, and no segments.

    `json` is the default here, too.
    """
    body = server.translate().json()
    text_of(body, "text")
    absent(body, "segments")


def a_translation_may_be_text(server: Server) -> None:
    """`response_format=text` answers the translation as plain text.

    It is written to files as it comes.
    """
    answer = server.translate(response_format="text").accepted()
    expect(answer.content_type == "text/plain", f"content-type {answer.content_type!r}")


def a_translation_may_be_subtitles(server: Server) -> None:
    """`srt` and `vtt` answer subtitles of the translation.

    That is what films are translated for.
    """
    for response_format, types in (("srt", SRT_TYPES), ("vtt", VTT_TYPES)):
        answer = server.translate(response_format=response_format).accepted()
        expect(answer.content_type in types, f"{response_format}: content-type {answer.content_type!r}")
        expect("-->" in answer.text or not server.text, f"{response_format}: {shown(answer.text)}")


def a_translation_is_english(server: Server) -> None:
    """`language` in the `verbose_json` of a translation is `english`, whatever is spoken.

    OpenAI's document says so: it is the language of the text.
    """
    language = text_of(server.translate(response_format="verbose_json").json(), "language")
    expect(language == "english", f"language={shown(language)}")


def a_translation_says_its_duration(server: Server) -> None:
    """`duration` in the `verbose_json` of a translation is a number.

    Typed clients fail on a string.
    """
    number_of(server.translate(response_format="verbose_json").json(), "duration")


def a_translation_has_whole_segments(server: Server) -> None:
    """The segments of a translation have the same ten fields as those of a transcription.

    They have the same type in OpenAI's document.
    """
    for segment in objects_of(server.translate(response_format="verbose_json").json(), "segments"):
        missing = sorted(SEGMENT - segment.keys())
        expect(not missing, f"a segment without {', '.join(missing)}: {shown(segment)}")


def a_translation_has_no_words(server: Server) -> None:
    """The `verbose_json` of a translation has no `words`.

    Words of a translation are not said at any time.
    """
    absent(server.translate(response_format="verbose_json").json(), "words")


def the_client_reads_translations(server: Server) -> None:
    """OpenAI's client makes a `Translation` and a `TranslationVerbose`.

    Its users write `.text` and `.segments`.
    """
    plain = server.create_translation()
    expect(type(plain).__name__ == "Translation" and isinstance(plain.text, str), shown(plain))
    verbose = server.create_translation(response_format="verbose_json")
    expect(type(verbose).__name__ == "TranslationVerbose", shown(verbose))
    expect(verbose.language == "english", f"language={shown(verbose.language)}")


def a_translation_may_have_a_prompt(server: Server) -> None:
    """`prompt` and `temperature` are taken.

    They are the only other fields here.
    """
    server.translate(prompt="A report.", temperature="0").json()


def a_bad_translation_is_refused(server: Server) -> None:
    """An unknown format, a temperature of 7 and an empty file are each a 400 here, too.

    Both endpoints share their errors.
    """
    server.translate(response_format="opera").refused_for("response_format")
    server.translate(temperature="7").refused_for("temperature")
    server.upload(PATH, (), file=("empty.wav", b"", "audio/wav")).refused(400)


def an_unknown_model_does_not_translate(server: Server) -> None:
    """A model that is not served is a 404 here, too.

    Both endpoints share their errors.
    """
    server.translate(model="no-such-model").refused(404)


TRANSLATIONS = Theme(
    "translations",
    (
        a_translation_is_json,
        a_translation_may_be_text,
        a_translation_may_be_subtitles,
        a_translation_is_english,
        a_translation_says_its_duration,
        a_translation_has_whole_segments,
        a_translation_has_no_words,
        the_client_reads_translations,
        a_translation_may_have_a_prompt,
        a_bad_translation_is_refused,
        an_unknown_model_does_not_translate,
    ),
)
