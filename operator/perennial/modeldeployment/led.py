"""Who gets requests, as the cluster shows it: by the Services' selectors, and by what gateways say they have taken."""

from typing import NamedTuple

from perennial.api.meta import LABEL_REVISION
from perennial.api.modeldeployment import Traffic
from perennial.modeldeployment.route import accepted, matched, mirrored, percent_by_key, weight_of
from perennial.modeldeployment.snapshot import Snapshot
from perennial.plan import Body


class Led(NamedTuple):
    """The revisions that the Service and, where gateways share the requests, the preview Service are pinned to; percent
    of the requests, or of the keys in them, that gateways send to the preview, whether they send some there for what
    these carry, and percent of which they send copies."""

    service: str | None
    preview: str | None = None
    weight: int | None = None
    matched: bool | None = None
    mirrored: int | None = None

    @classmethod
    def told(cls, traffic: Traffic) -> "Led":
        """As it is on record."""
        return cls(
            traffic.revision,
            traffic.preview_revision,
            traffic.preview_weight,
            traffic.preview_matched,
            traffic.preview_mirrored,
        )


def led(seen: Snapshot, known: Traffic | None, *, routed: bool) -> Led:
    """As it is seen; while a gateway has not taken a change, what it took before is `known`."""
    service = _selected(seen.service)
    if not routed:
        return Led(service)
    preview = _selected(seen.preview)
    route, name = seen.route, seen.name
    if accepted(route):
        matches, copies = bool(matched(route, name)) or None, mirrored(route, name) or None
        return Led(service, preview, percent_by_key(route, name) or weight_of(route, name), matches, copies)
    return Led.told(known)._replace(service=service, preview=preview) if known else Led(service, preview)


def _selected(service: Body | None) -> str | None:
    selector: dict[str, str] = ((service or {}).get("spec") or {}).get("selector") or {}
    return selector.get(LABEL_REVISION)
