"""Everything an operator can set, read once from a mapping and frozen."""

import difflib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from platformdirs import user_cache_path
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from asr_api.errors import StartupError

PREFIX = "ASR_"


def _split(value: object) -> object:
    """`0,1` as the environment gives a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _split_filled(value: object) -> object:
    """`a,b` as the environment gives a list that may be empty."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Origin = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s]+)$")]
"""What a browser sends as `Origin`: `https://host` or `https://host:port`, with no path; or `*` for any."""


def _number(value: object) -> object:
    """`429` as the environment gives a number."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class InvalidSettings(StartupError):
    """A setting has a wrong value, or an `ASR_*` variable is none of ours."""

    exit_code = 78


class Settings(BaseSettings):
    """The whole configuration. Each field is `ASR_<NAME>` in the environment and `--name` of `asr-api serve`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="port to listen on; 0 takes a free one")
    admin_port: Annotated[int | None, Field(ge=0, le=65535)] = Field(
        None, description="a second port, to which /metrics, /livez and /readyz move; none: they stay on the first"
    )
    ui: bool = Field(False, description="a page to try the service, at /ui; needs asr-api[ui]")
    model: str = Field("large-v3", description="model name, hub id (owner/name) or local folder")
    device: Literal["auto", "cuda", "cpu"] = Field("auto", description="where the engine runs; auto takes a GPU")
    device_index: Annotated[list[int], BeforeValidator(_split)] = Field([0], description="the GPUs to use, as 0,1")
    compute_type: str = Field("auto", description="CTranslate2 compute type; auto: float16 on a GPU, int8 on a CPU")
    num_workers: int = Field(0, ge=0, le=8, description="engine calls in flight; 0: 2")
    cpu_threads: int = Field(
        0, ge=0, description="threads of one engine call on a CPU; 0: as many as cores, fewer with over 2 workers"
    )
    audio_context: Literal["auto", "short", "whole"] = Field(
        "auto",
        description="what the encoder is given of a short chunk: 30 s (whole), or less (short), which costs less; "
        "auto: short for models on which it was shown to cost no words, by us or by `asr-api calibrate`",
    )
    beam_size: int = Field(5, ge=1, le=10, description="beams of the search; 1 is greedy")
    recover_omissions: bool = Field(
        True,
        description="look for speech for which no words were written, and hear it again; requests for text alone cost "
        "the engine a tenth more",
    )
    max_batch_size: int = Field(
        0, ge=0, le=64, description="most chunks in one engine call; 0: 16 on a GPU, 8 on a CPU"
    )
    engine_process: bool = Field(
        True, description="run the engine in processes of its own, one a GPU, that are started again when they fail"
    )
    engine_hang_timeout: float = Field(
        30.0, gt=0, description="seconds that any engine call may take; a slow engine gets five times what it needs"
    )
    max_queue_delay: float = Field(
        0.0, ge=0, le=10, description="seconds the oldest chunk may wait for company while a worker is free"
    )
    max_concurrent_requests: int = Field(256, ge=1, description="requests in progress; more are refused with 503")
    max_queue_audio_seconds: float = Field(
        36_000.0, gt=0, description="seconds of audio that wait or are decoded; more are refused"
    )
    overload_status: Annotated[Literal[503, 429], BeforeValidator(_number)] = Field(
        503, description="HTTP status of a refusal for want of room: 503 or 429"
    )
    max_encode_batch: int = Field(8, ge=1, le=64, description="most chunks that are encoded at a time")
    max_upload_bytes: int = Field(1 << 30, ge=1, description="largest request body, in bytes")
    max_audio_seconds: float = Field(4 * 3600.0, gt=0, description="longest audio of one request, in seconds")
    request_timeout: float = Field(3600.0, gt=0, description="seconds from admission to answer, at most")
    retry_window: float = Field(
        30.0, ge=0, description="seconds that the work of a client that went away, and may retry, is kept for it"
    )
    drain_timeout: float = Field(30.0, ge=0, description="seconds that requests in progress get at shutdown")
    drain_delay: float = Field(
        0.0, ge=0, description="seconds after SIGTERM in which the port stays open, refusing, until nobody comes"
    )
    header_timeout: float = Field(10.0, gt=0, description="seconds in which a request's headers must have come")
    keep_alive_timeout: int = Field(75, ge=0, description="seconds that a connection may be idle between requests")
    write_timeout: float = Field(30.0, gt=0, description="seconds in which a client must take some of its answer")
    max_connections: int = Field(
        0, ge=0, description="connections at most, idle ones are closed for new; 0: what the descriptors allow"
    )
    upload_timeout: float = Field(300.0, gt=0, description="seconds from a request's first byte to its last, at most")
    min_upload_rate: int = Field(
        10_000, ge=0, description="bytes a second that a body must bring, on average, after its first 5 s"
    )
    spool_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / "asr-api",
        description="where what does not fit in memory waits",
    )
    max_spool_bytes: int = Field(8 << 30, ge=0, description="bytes in `spool_dir` at most; more is refused with 503")
    decode_workers: int = Field(2, ge=1, le=64, description="confined processes that turn files into features")
    decode_timeout: float = Field(
        30.0, gt=0, description="seconds, and of CPU, in which a worker must get on with a file; it is replaced if not"
    )
    decode_memory_bytes: int = Field(
        512 << 20, ge=64 << 20, description="memory that decoding one file may take, in bytes"
    )
    api_keys: SecretStr = Field(
        SecretStr(""), description="keys that requests must carry, as name:key,name:key; none: everybody may ask"
    )
    api_keys_file: str = Field("", description="a file with more keys, one name:key a line; read at the start")
    max_requests_per_key: int = Field(0, ge=0, description="requests in progress of one key; 0: no limit of its own")
    max_audio_seconds_per_key: float = Field(
        0.0, ge=0, description="seconds of audio of one key that wait or are decoded; 0: no limit of its own"
    )
    cors_origins: Annotated[list[Origin], BeforeValidator(_split_filled)] = Field(
        [], description="origins whose pages may ask, as https://host,https://other; * is any"
    )
    vad_threshold: float = Field(0.5, gt=0, lt=1, description="speech probability above which audio counts as speech")
    model_aliases: Annotated[list[str], BeforeValidator(_split_filled)] = Field(
        ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"],
        description="other names of the served model, as name,name",
    )
    model_dir: Path = Field(
        user_cache_path("asr-api") / "models", description="where models are kept; a folder per model"
    )
    hub_endpoint: str = Field("https://huggingface.co", description="the model hub")
    offline: bool = Field(False, description="never ask the model hub")
    verify_model: bool = Field(True, description="check the SHA-256 of the model's files at the start")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="form of a line of the log; auto: text on a terminal, JSON elsewhere"
    )
    otlp_endpoint: str = Field(
        "", description="where traces go, as http://collector:4318; needs asr-api[otel]; empty: nowhere"
    )

    def batch_size_on(self, device: str) -> int:
        """Chunks of one engine call at most."""
        return self.max_batch_size or (16 if device == "cuda" else 8)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed in: nothing reads the process's environment behind our back."""
        return (init_settings,)

    @classmethod
    def load(cls, environ: Mapping[str, str], **flags: object) -> Self:
        """Settings from `ASR_*` variables and, before them, flags.

        Raises InvalidSettings naming each variable or flag that is unknown or has a wrong value.
        """
        values = {name.removeprefix(PREFIX).lower(): text for name, text in environ.items() if name.startswith(PREFIX)}
        for unknown in sorted(values.keys() - cls.model_fields.keys()):
            raise InvalidSettings(_unknown(unknown, list(cls.model_fields)), param=PREFIX + unknown.upper())
        try:
            return cls.model_validate(values | flags)
        except ValidationError as error:
            raise InvalidSettings(_wrong(error)) from error


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
    return f"{PREFIX}{name.upper()} is not a setting{hint}"


def _wrong(error: ValidationError) -> str:
    return "; ".join(_fault(str(fault["loc"][0]), fault["input"], fault["msg"]) for fault in error.errors())


def _fault(name: str, value: object, message: str) -> str:
    flag = "--" + name.replace("_", "-")
    return f"{PREFIX}{name.upper()} ({flag}) cannot be {value!r}: {message[:1].lower()}{message[1:]}"
