"""How a step of the agent ends when it cannot go on: one reason for programs, one message for people."""

from perennial.api.task import Failure, Reason


class TaskFailed(Exception):
    """The step failed; `reason` and `message` become the container's termination message."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def failure(self) -> Failure:
        # A file name that is no UTF-8 must not cost the whole message.
        return Failure(reason=self.reason, message=self.message.encode("utf-8", "replace").decode())


class Unsuitable(ValueError):
    """A file or folder that cannot be a model or an input, and why."""
