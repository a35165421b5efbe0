"""What a form of notices is: from a notice to what is posted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perennial.questions import Notice


@dataclass(frozen=True, slots=True)
class Message:
    """The body of a POST, to be sent as JSON. `path`: behind the receiver's URL."""

    body: Any
    content_type: str = "application/json"
    path: str = ""


# The notice, its text as the administrator wants it, and the key that the receiver knows us by, where it wants one.
Form = Callable[[Notice, str, str], Message]
