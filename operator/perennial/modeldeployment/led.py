"""Who gets requests, as the cluster shows it: by the Services' selectors, and by what gateways say they have taken."""

from typing import NamedTuple

from perennial.api.meta import LABEL_REVISION
from perennial.api.modeldeployment import Traffic
from perennial.modeldeployment.route import accepted, matched, percent_by_key, weight_of
from perennial.modeldeployment.snapshot import Snapshot
from perennial.plan import Body


class Led(NamedTuple):
    """The revisions that the Service and, where gateways share the requests, the preview Service are pinned to; percent
    of the requests, or of the keys in them, that gateways send to the preview, and whether they send some there for
    what these carry."""

    service: str | None
    preview: str | None = None
    weight: int | None = None
    matched: bool | None = None

    @classmethod
    def told(cls, traffic: Traffic) -> "Led":
        """As it is on record."""
        return cls(traffic.revision, traffic.preview_revision, traffic.preview_weight, traffic.preview_matched)


def led(seen: Snapshot, known: Traffic | None, *, routed: bool) -> Led:
    """As it is seen; while a gateway has not taken a change, what it took before is `known`."""
    service = _selected(seen.service)
    if not routed:
        return Led(service)
    preview = _selected(seen.preview)
    if accepted(seen.route):
        weight = percent_by_key(seen.route, seen.name) or weight_of(seen.route, seen.name)
        return Led(service, preview, weight, bool(matched(seen.route, seen.name)) or None)
    return Led(service, preview, known.preview_weight, known.preview_matched) if known else Led(service, preview)


def _selected(service: Body | None) -> str | None:
    selector: dict[str, str] = ((service or {}).get("spec") or {}).get("selector") or {}
    return selector.get(LABEL_REVISION)
