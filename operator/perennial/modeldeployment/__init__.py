"""ModelDeployment: which version is served, behind which gate, and how a new revision takes over."""

from perennial.api.resources import MODELDEPLOYMENTS
from perennial.modeldeployment.decide import decide
from perennial.modeldeployment.snapshot import WATCHES, gather
from perennial.view import Controller

CONTROLLER = Controller(resource=MODELDEPLOYMENTS, gather=gather, decide=decide, watches=WATCHES)
