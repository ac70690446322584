"""The error tree: errors the user can fix, and the answers of the HTTP service."""

from __future__ import annotations


class EmotionError(Exception):
    """An error the user can fix; its message is one line, ready to be shown.

    Args:
        message: what was wrong, the value received and what is allowed.
        hint: the next step, appended to the message.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}" if hint else message)


class ConfigError(EmotionError):
    """A configuration key or value that is not allowed."""


class PreflightError(EmotionError):
    """A check before training that failed."""


class TrainingError(EmotionError):
    """A training that cannot go on: its numbers are no longer finite, or it does not fit into memory."""


class DataError(EmotionError):
    """A corpus that cannot be used as it is."""


class DataNotFoundError(DataError):
    """A corpus, file or split that is not where it was looked for."""


class DataFormatError(DataError):
    """A file whose bytes, columns or labels are not in the format expected."""


class EmptyDataError(DataError):
    """A corpus with no usable row left."""


class StorageError(EmotionError):
    """Object storage that refuses what is asked of it, or cannot be reached."""


class LockedError(EmotionError):
    """What one process may have at a time, and another one has."""


class ModelError(EmotionError):
    """A model that cannot be built, trained or loaded as asked."""


class ModelNotFoundError(ModelError):
    """A checkpoint that cannot be reached."""


class BundleError(EmotionError):
    """A bundle that cannot be used."""


class BundleNotFoundError(BundleError):
    """No bundle at the given place."""


class BundleFormatError(BundleError):
    """A bundle whose parts are missing, unreadable or disagree with each other."""


class BundleTamperedError(BundleError):
    """A bundle whose files changed after it was sealed."""


class ExportError(EmotionError):
    """A model that could not be exported."""


class VerificationError(EmotionError):
    """An export that is unverified, failed its verification, or is stale."""


class RequestError(EmotionError):
    """A request that is refused; `status` is its HTTP status and `error` the short name in the answer."""

    status = 500
    error = "internal_error"


class BadRequestError(RequestError):
    """The body is not what its content type says (400)."""

    status = 400
    error = "bad_request"


class UnauthorizedError(RequestError):
    """The API key is missing or wrong (401)."""

    status = 401
    error = "unauthorized"


class UnsupportedEncodingError(RequestError):
    """The body is in an encoding that is not read (415)."""

    status = 415
    error = "unsupported_encoding"


class TooLargeError(RequestError):
    """The body is larger than the limit (413)."""

    status = 413
    error = "too_large"


class InvalidInputError(RequestError):
    """A value in the request, or in a call, is not allowed (422)."""

    status = 422
    error = "invalid_input"


class OverloadedError(RequestError):
    """The queue is full (429); `retry_after_s` says when to try again."""

    status = 429
    error = "overloaded"

    def __init__(self, message: str, *, retry_after_s: float = 1.0, hint: str | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, hint=hint)


class NotReadyError(RequestError):
    """The service is starting, draining or has lost its worker (503)."""

    status = 503
    error = "not_ready"


class DeadlineError(RequestError):
    """The deadline of the request passed before its answer was ready (504)."""

    status = 504
    error = "deadline_exceeded"


class ServiceResponseError(RequestError):
    """An answer to the client that is not the service's own; `status` is its HTTP status."""

    error = "service_response"

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        self.status = status
        super().__init__(message, hint=hint)


class ServiceUnreachableError(EmotionError):
    """A service that the client gets no answer from."""
