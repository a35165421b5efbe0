"""Why a command cannot do what was asked."""


class Problem(Exception):
    """One line for the person: what is wrong, and the fix."""


class Refused(Problem):
    """The API server's answer was an error; `code` is its HTTP status."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


def printable(text: str) -> str:
    """Without what a terminal would obey: anybody may have written what is shown."""
    return "".join(one if one.isprintable() else "�" for one in text)
