"""A bucket: what is left of the samples of a span of time, and how it is written down."""

from dataclasses import dataclass
from datetime import UTC, datetime

DAY = 86_400
# Larger is nothing that was reported, and would make sums infinite.
_LARGEST, _MOST = 1e150, 10**15


@dataclass(frozen=True, slots=True)
class Bucket:
    """Samples of a span that begins at `start`. Times are whole seconds since 1970.

    `sum` is the sum of value x count. `last` is the value of the sample with the highest timestamp, `last_time`.
    """

    start: int
    count: int
    sum: float
    minimum: float
    maximum: float
    last: float
    last_time: int

    def plus(self, other: "Bucket") -> "Bucket":
        """Both together, beginning where this one does. Of two values of the same second the other's is the last."""
        later = other if other.last_time >= self.last_time else self
        return Bucket(
            self.start,
            self.count + other.count,
            self.sum + other.sum,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            later.last,
            later.last_time,
        )

    def write(self, step: int) -> str:
        """One line of text. Sums keep twelve significant digits, values nine."""
        moment = datetime.fromtimestamp(self.start, UTC)
        start = f"{moment:%Y-%m-%d}" if step == DAY else f"{moment:%Y-%m-%dT%H:%MZ}"
        values = f"{self.minimum:.9g} {self.maximum:.9g} {self.last:.9g}"
        return f"{start} {self.count} {self.sum:.12g} {values} {self.last_time - self.start}"


def read(line: str) -> Bucket | None:
    """The inverse of `write`; None for a line that is none."""
    try:
        begin, count, *numbers, offset = line.split(" ")
        total, minimum, maximum, last = map(float, numbers)
        start = int(datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp())
        bucket = Bucket(start, int(count), total, minimum, maximum, last, start + int(offset))
    except (ValueError, OverflowError):
        return None
    numbers_are = all(abs(number) <= _LARGEST for number in (total, minimum, maximum, last))
    return bucket if 0 < bucket.count <= _MOST and int(offset) <= DAY and numbers_are else None
