"""What can go wrong in a request or at start, as types that carry the answer to give."""


class RequestError(Exception):
    """A request that is answered with an error.

    `status` is the HTTP status, `reason` a CamelCase word for metrics, `retry_after` seconds or None.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class InvalidRequestError(RequestError):
    """A body that breaks the protocol or does not fit the model; the message names the field."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "InvalidRequest", message)


class StartupError(Exception):
    """The server cannot do its work and a retry will not help: exit code 78, `reason` in the termination log."""

    reason = "InvalidSettings"


class ModelLoadError(StartupError):
    """The model's files are missing, ambiguous, damaged or not to be trusted; the message names file and cause."""

    reason = "ModelLoadFailed"
