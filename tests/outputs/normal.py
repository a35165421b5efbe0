"""What is another at each run, as it stands in the documentation: names, ids, times and ages of one's own choosing.

The same name always becomes the same one within a scene, by the order in which they are first shown.
"""

import re

NAMESPACE = "team"
_TIME = "2026-11-21T10:00:00Z"
_AGE = "5m"
_DATES = {"AGE", "SINCE", "LAST SEEN", "UPDATED", "LAST-TRAINED", "STARTED", "FINISHED"}
# What Kubernetes makes the ends of names of.
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_TRAININGS = ("x2k9d", "m7w4p", "t5zbq", "c8fgn", "v6rlh", "j9s2x")
_REVISIONS = ("1c5e0a72d9", "84fb3d610e", "e07a92c4b5", "39d6f18c02")
_SERVERS = ("6d9f7c8bz5-q5wtx", "77b5c9dlf8-h8kzn", "5f4d8c6jb9-r4vmd", "84c7b6ft9d-s7gcp")
_UIDS = ("3f0c6a5e-7b1d-4c28-9e46-5a8d2f1b7c03", "b82d4e19-06fa-4d73-8c5b-1e9f7a3c6d20")


class Normal:
    """Of one scene, which has the namespace `name` to itself."""

    def __init__(self, name: str) -> None:
        self._namespace = name
        self._known: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text with nothing of this run in it."""
        text = text.replace(self._namespace, NAMESPACE)
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", _TIME, text)
        # A bucket, and how many seconds after its start its last sample was.
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ((?: [-.e\d]+){5}) \d+", rf"{_TIME[:16]}Z\1 7", text)
        text = re.sub(r"(Resource Version: +)\d+", r"\g<1>4711", text)
        text = re.sub(r"(Running Seconds: +)\d+", r"\g<1>300", text)
        text = self._renamed(text, r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", _UIDS)
        text = self._renamed(text, rf"(?<=-[0-9a-f]{{10}}-){_SAFE}{{8,10}}-{_SAFE}{{5}}\b", _SERVERS)
        text = self._renamed(text, r"(?<=-)[0-9a-f]{10}\b", _REVISIONS)
        return self._renamed(text, rf"(?<=-\d-){_SAFE}{{5}}\b", _TRAININGS)

    def table(self, text: str) -> str:
        """What `kubectl get` prints, with columns as wide as what stands in them now."""
        return "\n\n".join(map(self._table, text.strip().split("\n\n")))

    def _table(self, text: str) -> str:
        head, *lines = text.splitlines()
        starts = [found.start() for found in re.finditer(r"\S+(?: \S+)*", head)]
        names, *rows = [_cells(line, starts) for line in (head, *lines)]
        for row in rows:
            for index, name in enumerate(names):
                row[index] = _AGE if name in _DATES and re.match(r"\d", row[index]) else self.text(row[index])
        widths = [max(len(row[index]) for row in (names, *rows)) + 3 for index in range(len(names))]
        return "\n".join("".join(map(str.ljust, row, widths)).rstrip() for row in (names, *rows))

    def description(self, text: str, order: list[str]) -> str:
        """What `kubectl describe` prints; Events without their ages and counts, their messages in this order."""
        before, events, after = self.text(text).partition("\nEvents:\n")
        if not events:
            return before
        head, line, *rows = [re.split(r"\s{2,}", line.strip(), maxsplit=4) for line in after.splitlines()]
        ranks = [self.text(message) for message in order]
        rows = [head, line, *sorted(rows, key=lambda row: ranks.index(row[-1]))]
        for row in rows[2:]:
            row[2] = _AGE
        widths = [max(len(row[index]) for row in rows) + 2 for index in range(4)]
        lines = ["  " + "".join(map(str.ljust, row, [*widths, 0])).rstrip() for row in rows]
        return before + events + "\n".join(lines)

    def _renamed(self, text: str, pattern: str, names: tuple[str, ...]) -> str:
        def name(found: re.Match[str]) -> str:
            taken = [one for one in self._known.values() if one in names]
            if found[0] in names:
                return found[0]
            return self._known.setdefault(found[0], names[len(taken) % len(names)])

        return re.sub(pattern, name, text)


def _cells(line: str, starts: list[int]) -> list[str]:
    return [line[start:end].strip() for start, end in zip(starts, [*starts[1:], len(line) + 1], strict=True)]
