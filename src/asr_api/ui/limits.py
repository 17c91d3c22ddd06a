"""What the page tells its users of the service before they ask it anything."""

from dataclasses import dataclass

from asr_api.settings import Settings


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The service's limits, in bytes and seconds, and whether it wants a key."""

    max_upload_bytes: int
    max_audio_seconds: float
    request_timeout: float
    keyed: bool

    @classmethod
    def of(cls, settings: Settings) -> "PageLimits":
        return cls(
            settings.max_upload_bytes,
            settings.max_audio_seconds,
            settings.request_timeout,
            keyed=bool(settings.api_keys.get_secret_value() or settings.api_keys_file),
        )
