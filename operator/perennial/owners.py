"""Who controls whom: the controller's entry among an object's ownerReferences."""

from perennial.api.resources import Resource
from perennial.plan import Body


def controller_reference(resource: Resource, name: str, uid: str) -> Body:
    """The entry that a child carries. It does not block the owner's deletion: that would ask for a right of its own."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": name,
        "uid": uid,
        "controller": True,
    }


def controller_of(body: Body) -> Body | None:
    """The entry of the object that controls this one, if any."""
    references = body["metadata"].get("ownerReferences") or ()
    return next((one for one in references if one.get("controller")), None)


def controller_uid(body: Body) -> str | None:
    """The uid of the object that controls this one, if any."""
    controller = controller_of(body)
    return str(controller["uid"]) if controller else None
