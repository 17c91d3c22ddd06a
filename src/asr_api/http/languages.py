"""Whisper's hundred languages: the code of each and its English name."""

from types import MappingProxyType

_TABLE = (
    "af afrikaans, am amharic, ar arabic, as assamese, az azerbaijani, ba bashkir, be belarusian, bg bulgarian, "
    "bn bengali, bo tibetan, br breton, bs bosnian, ca catalan, cs czech, cy welsh, da danish, de german, el greek, "
    "en english, es spanish, et estonian, eu basque, fa persian, fi finnish, fo faroese, fr french, gl galician, "
    "gu gujarati, ha hausa, haw hawaiian, he hebrew, hi hindi, hr croatian, ht haitian creole, hu hungarian, "
    "hy armenian, id indonesian, is icelandic, it italian, ja japanese, jw javanese, ka georgian, kk kazakh, "
    "km khmer, kn kannada, ko korean, la latin, lb luxembourgish, ln lingala, lo lao, lt lithuanian, lv latvian, "
    "mg malagasy, mi maori, mk macedonian, ml malayalam, mn mongolian, mr marathi, ms malay, mt maltese, my myanmar, "
    "ne nepali, nl dutch, nn nynorsk, no norwegian, oc occitan, pa punjabi, pl polish, ps pashto, pt portuguese, "
    "ro romanian, ru russian, sa sanskrit, sd sindhi, si sinhala, sk slovak, sl slovenian, sn shona, so somali, "
    "sq albanian, sr serbian, su sundanese, sv swedish, sw swahili, ta tamil, te telugu, tg tajik, th thai, "
    "tk turkmen, tl tagalog, tr turkish, tt tatar, uk ukrainian, ur urdu, uz uzbek, vi vietnamese, yi yiddish, "
    "yo yoruba, yue cantonese, zh chinese"
)
_ALTERNATIVES = (
    "my burmese, ca valencian, nl flemish, ht haitian, lb letzeburgesch, ps pushto, pa panjabi, ro moldavian, "
    "ro moldovan, si sinhalese, es castilian, zh mandarin, jw jv"
)

NAMES = MappingProxyType(dict(entry.split(" ", 1) for entry in _TABLE.split(", ")))
"""English lower-case name of each code, as Whisper and OpenAI's `verbose_json` write it.

Names and codes are facts of Whisper's tokenizer (openai/whisper, `whisper/tokenizer.py`).
"""

_CODES = MappingProxyType(
    {name: code for code, name in (entry.split(" ", 1) for entry in f"{_TABLE}, {_ALTERNATIVES}".split(", "))}
)


def language_code(text: str) -> str:
    """The Whisper code of a code or English name in any case; what is neither comes back in lower case."""
    return _CODES.get(text.lower(), text.lower())


def language_name(code: str | None) -> str:
    """The English name of a code, the code itself where it has none, and nothing for None."""
    return NAMES.get(code, code) if code else ""
