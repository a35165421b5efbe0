"""The `runtime` source: what the revision's serving runtime counts, as the administrator's preset names it."""

from perennial.questions import Question
from perennial.sources.asked import Asked, Matter, Unanswerable

_ELSE = "use `pods`, `prometheus` or `reported`"


class Runtime(Asked):
    """The metric of this name among the `metrics` of the revision's serving runtime."""

    def question(self, matter: Matter) -> Question | None:
        """What the preset says. Each revision is asked by its own one: the names differ from server to server."""
        if matter.runtime is None:
            raise Unanswerable(
                "it is of no serving runtime: its template brings a server of its own, or an older operator made it; "
                f"{_ELSE}"
            )
        known = matter.runtimes.get(matter.runtime, {})
        if matter.metric not in known:
            names = ", ".join(sorted(known)) or "none"
            raise Unanswerable(
                f"its serving runtime {matter.runtime!r} has no metric {matter.metric!r}; there are: {names}; {_ELSE}"
            )
        return known[matter.metric].question(matter)
