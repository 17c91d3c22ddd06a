"""All checks, by theme."""

from asr_api.conformance.themes.access import ACCESS
from asr_api.conformance.themes.errors import ERRORS
from asr_api.conformance.themes.fields import FIELDS
from asr_api.conformance.themes.files import FILES
from asr_api.conformance.themes.formats import FORMATS
from asr_api.conformance.themes.granularities import GRANULARITIES
from asr_api.conformance.themes.headers import HEADERS
from asr_api.conformance.themes.length import LENGTH
from asr_api.conformance.themes.models import MODELS
from asr_api.conformance.themes.retries import RETRIES
from asr_api.conformance.themes.streaming import STREAMING
from asr_api.conformance.themes.subtitles import SUBTITLES
from asr_api.conformance.themes.translations import TRANSLATIONS
from asr_api.conformance.themes.verbose import VERBOSE

THEMES = (
    FORMATS,
    SUBTITLES,
    VERBOSE,
    GRANULARITIES,
    FIELDS,
    FILES,
    STREAMING,
    TRANSLATIONS,
    MODELS,
    ERRORS,
    ACCESS,
    HEADERS,
    RETRIES,
    LENGTH,
)
