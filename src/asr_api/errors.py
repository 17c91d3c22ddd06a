"""The one error tree: what can go wrong, with the HTTP status and the code that a client reads.

AsrError
├── InvalidRequest      400  a field of the request is wrong
├── InvalidAudio        400  the file is not audio that can be transcribed
├── InvalidApiKey       401  no key, or a wrong one, where one is wanted
├── UploadTooLarge      413
├── UploadTimeout       408  the body comes too slowly
├── UnsupportedMedia    415  not multipart, or compressed in transit
├── UnknownModel        404
├── Overloaded          503  no room now: queue full, loading, draining
│   ├── TooManyRequests 429  no room, said otherwise
│   │   └── RateLimited      this client has more than its part; others have room
│   ├── Draining             the service is shutting down
│   └── StorageFull          no room on disk
├── DeadlineExceeded    504
├── DecoderLost         503  somebody killed what read the file
├── EngineFailure       500
│   ├── EngineOutOfMemory 503 no memory for this audio now
│   ├── EngineFatal          the engine must be started anew
│   └── EngineLost           its process ended
└── StartupError             the service cannot start; says what to do
    └── ModelUnavailable
"""

from typing import ClassVar


class AsrError(Exception):
    """Something that a caller is told in one sentence.

    `code` is OpenAI's machine-readable code, `param` the field of the request at fault and
    `retry_after` the seconds after which a retry may succeed, where there is one.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str] = "internal_error"
    outcome: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.retry_after = retry_after

    def copy(self) -> "AsrError":
        """The same error as an object of its own, so that two callers never share a traceback."""
        return type(self)(self.message, code=self.code, param=self.param, retry_after=self.retry_after)


class InvalidRequest(AsrError):
    """A field of the request has a value that cannot be served."""

    status, type, default_code, outcome = 400, "invalid_request_error", "invalid_request", "client_error"


class InvalidAudio(AsrError):
    """The uploaded file cannot be decoded as audio within the limits."""

    status, type, default_code, outcome = 400, "invalid_request_error", "corrupt_audio", "client_error"


class InvalidApiKey(AsrError):
    """The request carries no API key, or one that is none of ours. The message never repeats it."""

    status, type, default_code, outcome = 401, "invalid_request_error", "invalid_api_key", "client_error"


class MissingApiKey(InvalidApiKey):
    """The request carries no API key."""


class UploadTooLarge(AsrError):
    """The request body has more bytes than `max_upload_bytes`."""

    status, type, default_code, outcome = 413, "invalid_request_error", "upload_too_large", "client_error"


class UploadTimeout(AsrError):
    """The request body did not come within `upload_timeout`, or came slower than `min_upload_rate`."""

    status, type, default_code, outcome = 408, "invalid_request_error", "upload_timeout", "client_error"


class UnsupportedMedia(AsrError):
    """The request body is not `multipart/form-data`, or is compressed in transit."""

    status, type, default_code, outcome = 415, "invalid_request_error", "unsupported_media_type", "client_error"


class UnknownModel(AsrError):
    """The request names a model that this server does not serve."""

    status, type, default_code, outcome = 404, "invalid_request_error", "model_not_found", "client_error"


class Overloaded(AsrError):
    """The service has no room for the request now; the client should retry later.

    `reason` is what was short, as the metrics name it.
    """

    status, default_code, outcome = 503, "queue_full", "shed"
    default_reason: ClassVar[str] = "queue_full"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, code=code, param=param, retry_after=retry_after)
        self.reason = reason or self.default_reason

    def copy(self) -> "Overloaded":
        return type(self)(
            self.message, code=self.code, param=self.param, retry_after=self.retry_after, reason=self.reason
        )


class Draining(Overloaded):
    """The service is shutting down; another replica, or this one's successor, has room."""

    default_code, default_reason = "draining", "draining"


class TooManyRequests(Overloaded):
    """No room, said with the status that some clients and proxies expect."""

    status, type = 429, "rate_limit_error"


class RateLimited(TooManyRequests):
    """This client has taken what one client may have; there may be room for others.

    `type` and code are what OpenAI answers above its own limits.
    """

    type, default_code, outcome = "requests", "rate_limit_exceeded", "client_error"
    default_reason = "key_limit"


class StorageFull(Overloaded):
    """The disk or its budget, `max_spool_bytes`, has no room for what must wait there."""

    default_code, default_reason = "storage_full", "storage"


class DeadlineExceeded(AsrError):
    """The request could not be answered within `request_timeout`."""

    status, default_code, outcome = 504, "deadline_exceeded", "deadline"


class DecoderLost(AsrError):
    """The process that read the file was killed, by somebody or for want of memory; the next may read it."""

    status, default_code = 503, "decoder_killed"


class EngineFailure(AsrError):
    """The engine failed on this request's audio."""

    status, default_code, outcome = 500, "engine_error", "engine_error"


class EngineOutOfMemory(EngineFailure):
    """The engine has no memory left even for this chunk alone; it may have when others are done."""

    status, default_code = 503, "engine_out_of_memory"


class EngineFatal(EngineFailure):
    """The engine is of no use any more, by what CUDA said; the next one may do what it could not."""


class EngineLost(EngineFailure):
    """The engine's process ended, or hung and was ended, with this audio in it. `cause` is what the metrics call it."""

    default_code = "engine_crashed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        cause: str = "crash",
    ) -> None:
        super().__init__(message, code=code, param=param, retry_after=retry_after)
        self.cause = cause

    def copy(self) -> "EngineLost":
        return type(self)(
            self.message, code=self.code, param=self.param, retry_after=self.retry_after, cause=self.cause
        )


class StartupError(AsrError):
    """The service cannot start; the message says what to do, `exit_code` what the process ends with."""

    exit_code: ClassVar[int] = 71


class ModelUnavailable(StartupError):
    """The model is neither installed, nor cached, nor to be had from the hub."""

    exit_code = 72
