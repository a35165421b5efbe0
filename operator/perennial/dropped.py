"""Fields that the API server left out of a child without a word, since their feature is turned off in this cluster.

A field that it does not know at all is refused (`Create.strict`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from perennial.api.conditions import Said
from perennial.api.meta import ANNOTATION_DROPPED
from perennial.plan import Body

# Everywhere else nothing, zero and false say the same as a field that is not there.
_FALSE_COUNTS = {"hostUsers"}
_SHOWN = 10


def dropped(wanted: Body, made: Body, part: str = "spec") -> str:
    """The fields of this part that an object was written with and does not have, in words; empty when it has them all.

    What the server or an admission plug-in wrote in other words, or added, counts as there.
    """
    fields = list(_missing(wanted[part], made.get(part), part))
    more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
    return ", ".join(fields[:_SHOWN]) + more


def said(children: Iterable[Body | None]) -> Iterator[Said]:
    """The condition that names what was dropped of the first child that lacks something."""
    for child in children:
        metadata = child["metadata"] if child else {}
        if fields := (metadata.get("annotations") or {}).get(ANNOTATION_DROPPED):
            yield Said(
                "FieldsDropped",
                True,
                "NotInThisCluster",
                f"the cluster made {metadata['name']} without {fields}, and so it runs: its Kubernetes is too old for "
                "that, has it turned off, or an admission plug-in took it out. Turn the feature on, or take out of the "
                "template what does not work here",
            )
            return


def _missing(wanted: Any, made: Any, at: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(made, dict):
        for key, value in wanted.items():
            if key in made:
                yield from _missing(value, made[key], f"{at}.{key}")
            elif value or (value is False and key in _FALSE_COUNTS):
                yield f"{at}.{key}"
    elif isinstance(wanted, list) and isinstance(made, list):
        yield from _missing_of_list(wanted, made, at)


def _missing_of_list(wanted: list[Any], made: list[Any], at: str) -> Iterator[str]:
    """Entries are told apart by their names, since others may have been put before them, else by their places."""
    names = [one.get("name") for one in wanted if isinstance(one, dict)]
    if all(names) and len(set(names)) == len(wanted):
        found = {one.get("name"): one for one in made if isinstance(one, dict)}
        for one in wanted:
            place = f"{at}[{one['name']}]"
            if one["name"] in found:
                yield from _missing(one, found[one["name"]], place)
            else:
                yield place
    elif len(wanted) == len(made):
        for index, pair in enumerate(zip(wanted, made, strict=True)):
            yield from _missing(*pair, f"{at}[{index}]")
