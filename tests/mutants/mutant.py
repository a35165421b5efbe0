"""A known bug pattern: a place in the product where it would be easy to make, and the tests that must see it."""

from dataclasses import dataclass
from pathlib import Path

PRODUCT = Path("operator", "perennial")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: `old`, which `file` holds exactly once, becomes `new`. `tests` are tried in order until one fails."""

    name: str
    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the bug in it. ValueError when the place is not there, or not only once."""
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its place is {found} times in {PRODUCT / self.file}, not once")
        return text.replace(self.old, self.new)
