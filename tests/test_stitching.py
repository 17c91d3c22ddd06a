"""What the languages of chunks make the language of the whole."""

from asr_api.stitching import Heard, Stitcher
from asr_api.transcription import SAMPLE_RATE, ChunkPlace, Transcription, TranscriptionOptions
from tests.fakes import result

Languages = tuple[tuple[str, float], ...]


def stitched(*chunks: tuple[float, Languages], multilingual: bool) -> Transcription:
    """Chunks of so many seconds, each in the first of its languages, one after the other."""
    stitcher = Stitcher(TranscriptionOptions(multilingual=multilingual), None)
    offset = 0
    for number, (seconds, languages) in enumerate(chunks):
        place = ChunkPlace(offset, round(seconds * SAMPLE_RATE), seconds)
        stitcher.add(number, [Heard(place, result(" word", language=languages[0][0]), languages=languages)])
        offset += place.length
    return stitcher.transcription(offset / SAMPLE_RATE)


SHORT_GERMAN = (1.0, (("de", 0.8), ("en", 0.2)))
LONG_ENGLISH = (3.0, (("en", 0.9), ("de", 0.1)))


def test_one_language_is_that_of_the_first_chunk() -> None:
    """What comes later changes nothing, and its segments have the language in which they were decoded."""
    whole = stitched(SHORT_GERMAN, LONG_ENGLISH, multilingual=False)
    assert (whole.language, whole.language_probabilities) == ("de", SHORT_GERMAN[1])


def test_of_several_languages_the_likeliest_over_all_seconds_is_the_whole_s() -> None:
    """Probabilities are the mean over all seconds in which something is said; each segment has its own language."""
    whole = stitched(SHORT_GERMAN, LONG_ENGLISH, multilingual=True)
    assert whole.language == "en"
    assert {name: round(share, 3) for name, share in whole.language_probabilities} == {"en": 0.725, "de": 0.275}
    assert whole.language_probability == whole.language_probabilities[0][1]
    assert [segment.language for segment in whole.segments] == ["de", "en"]


def test_the_five_likeliest_languages_are_told() -> None:
    """As for one language, also where the chunks have more between them."""
    chunks = [(1.0, ((name, 1.0),)) for name in ("de", "en", "es", "fr", "it", "zh")]
    assert len(stitched(*chunks, multilingual=True).language_probabilities) == 5
