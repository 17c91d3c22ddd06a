"""The checks themselves: they find nothing wrong with a server that keeps the contract, and each break of it."""

import inspect
import sys

import pytest
from rich.console import Console

from asr_api.conformance.check import Check, Result, Theme, run_check
from asr_api.conformance.command import recording_for, results_of
from asr_api.conformance.connection import Connection
from asr_api.conformance.themes import (
    THEMES,
    access,
    errors,
    fields,
    files,
    formats,
    granularities,
    headers,
    length,
    models,
    retries,
    streaming,
    subtitles,
    translations,
    verbose,
)

from . import broken
from .reference import Reference
from .serving import serving

KEY = "sk-right"

BREAKS: list[tuple[type[Reference], tuple[Check, ...]]] = [
    (broken.EmptyDone, (streaming.done_has_the_whole_text, streaming.the_client_reads_a_stream)),
    (
        broken.ForbiddenKey,
        (
            access.a_missing_key_is_a_401,
            access.a_wrong_key_is_a_401,
            access.a_wrong_key_transcribes_nothing,
            access.the_client_is_told_of_a_wrong_key,
        ),
    ),
    (broken.LanguageCode, (verbose.the_language_is_an_english_name, translations.a_translation_is_english)),
    (broken.NoTask, (verbose.the_task_is_said,)),
    (broken.NoUsage, (formats.json_says_the_usage, verbose.verbose_json_says_the_usage)),
    (
        broken.ChatFrames,
        (streaming.frames_are_openais_events, streaming.deltas_are_text, streaming.done_is_one_and_last),
    ),
    (broken.DurationText, (verbose.the_duration_is_a_number, translations.a_translation_says_its_duration)),
    (
        broken.NoWords,
        (granularities.word_means_words, granularities.both_mean_both, granularities.the_client_reads_words),
    ),
    (broken.NullProbability, (verbose.the_fields_of_segments_have_their_types,)),
    (broken.JsonAndTextOnly, (subtitles.srt_is_text, subtitles.vtt_is_text, verbose.the_duration_is_a_number)),
    (broken.Drift, (length.times_do_not_drift,)),
    (broken.WordsLostAtCuts, (length.no_words_are_lost_in_long_audio, length.no_segments_are_lost_in_long_audio)),
    (broken.WordsWithText, (granularities.words_have_word_start_and_end, granularities.words_make_up_the_text)),
    (broken.PoorSegments, (verbose.segments_have_all_ten_fields, translations.a_translation_has_whole_segments)),
    (broken.VerboseByDefault, (formats.the_default_format_is_json, formats.json_has_no_fields_of_its_own)),
    (
        broken.AnyTemperature,
        (
            errors.a_temperature_that_is_no_number_is_refused,
            errors.a_temperature_above_one_is_refused,
            errors.a_temperature_below_zero_is_refused,
            errors.a_temperature_of_nan_is_refused,
            errors.the_client_is_told_what_is_wrong,
        ),
    ),
    (broken.WordsInSegments, (granularities.words_are_not_inside_segments, granularities.word_means_words)),
    (broken.HtmlText, (formats.text_is_plain_text, subtitles.srt_is_text, subtitles.vtt_is_text)),
    (
        broken.ErrorsAreStrings,
        (
            errors.an_unknown_format_is_refused,
            errors.the_client_is_told_what_is_wrong,
            models.an_unknown_model_is_not_described,
        ),
    ),
    (broken.OtherPath, (formats.json_has_the_text, formats.the_client_reads_json)),
    (broken.NoHeader, (subtitles.vtt_begins_with_its_header,)),
    (broken.SegmentFrames, (streaming.frames_are_openais_events, streaming.deltas_are_text)),
    (
        broken.AnyModel,
        (
            errors.an_unknown_model_is_refused,
            errors.a_missing_model_is_refused,
            translations.an_unknown_model_does_not_translate,
        ),
    ),
    (broken.FewContainers, (files.mp3_is_read, files.m4a_is_read, files.webm_is_read)),
    (broken.LanguageWanted, (formats.json_has_the_text,)),
    (broken.AddsUrl, (formats.json_has_no_fields_of_its_own, verbose.verbose_json_has_no_fields_of_its_own)),
    (
        broken.StreamIgnored,
        (
            streaming.a_stream_is_said_to_be_one,
            streaming.the_client_reads_a_stream,
            streaming.srt_is_streamed_as_text_or_refused,
        ),
    ),
    (broken.NamedEvents, (streaming.frames_have_data_alone,)),
    (
        broken.FailsOnBadFields,
        (
            retries.a_wrong_field_is_sent_once,
            retries.a_bad_file_is_sent_once,
            granularities.an_unknown_granularity_is_refused,
        ),
    ),
    (broken.NoSlashes, (models.ids_may_have_slashes, models.every_listed_model_can_be_described)),
    (broken.SilentIds, (headers.answers_have_an_id, headers.ids_differ, headers.answers_say_how_long_they_took)),
    (broken.SpeakersIgnored, (errors.known_speakers_are_served_or_named, fields.a_strategy_that_is_none_is_refused)),
]


def results(server: Reference, checks: tuple[Check, ...] | None = None) -> list[Result]:
    """What comes of the checks, of all where none are named, against a server over real HTTP."""
    with serving(server.app) as url, Connection(url, KEY) as connection:
        target = connection.server("whisper-1", recording_for(["callsign"], None, None))
        if checks is None:
            return results_of(target, Console(quiet=True))
        return [run_check("any", check, target) for check in checks]


def test_a_server_that_keeps_the_contract_passes() -> None:
    """No check fails, and none is skipped."""
    assert [result for result in results(Reference(KEY)) if result.outcome != "passed"] == []


@pytest.mark.parametrize(("server", "checks"), BREAKS, ids=[server.__name__ for server, _ in BREAKS])
def test_a_break_is_found(server: type[Reference], checks: tuple[Check, ...]) -> None:
    """Each break fails the checks that are meant for it, which say what came."""
    found = results(server(KEY), checks)
    assert [result.check for result in found if result.outcome == "failed"] == [check.__name__ for check in checks]
    assert all(result.came and result.asked for result in found)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_checks_say_what_and_why(theme: Theme) -> None:
    """Each check has a sentence of what must hold and one of why it matters."""
    for check in theme.checks:
        holds, _, why = (check.__doc__ or "").strip().partition("\n\n")
        assert holds.endswith("."), check.__name__
        assert why.strip().endswith("."), check.__name__


def test_no_check_is_forgotten() -> None:
    """Every public function of a theme's module is among its checks, once."""
    for theme in THEMES:
        (module,) = {sys.modules[check.__module__] for check in theme.checks}
        own = [f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
        assert [f for f in own if not f.__name__.startswith("_")] == list(theme.checks)
