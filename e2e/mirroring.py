"""A gateway in the cluster that copies requests: Contour and Envoy. Traefik, see `gateway`, knows no such filter."""

from pathlib import Path

from e2e.cluster import tools
from e2e.gateway import Gateway

NAMESPACE = "mirroring-system"


class Mirroring(Gateway):
    """One gateway, for HTTPRoutes of every namespace."""

    program = "contour"
    namespace = NAMESPACE
    manifest = Path(__file__).with_suffix(".yaml")

    def install(self) -> None:
        """Bring it into the cluster with the kinds that it waits for, and return when it takes requests."""
        kinds = tools.source("contour", "github.com/projectcontour/contour") / "examples" / "contour" / "01-crds.yaml"
        # Too large for the annotation that another apply would leave.
        self._lab.kubectl("apply", "--server-side", "-f", str(kinds))
        super().install()
