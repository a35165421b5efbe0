"""The `mlflow` source: what evaluations logged to an MLflow tracking server that the administrator named."""

from string import Template
from typing import Annotated

from pydantic import Field

from perennial.api.base import DNS_NAME
from perennial.questions import Runs
from perennial.sources.asked import Asked, Matter


class Mlflow(Asked):
    """The metric of this name in the runs of an experiment. Each run is a sample."""

    server: Annotated[str, Field(pattern=DNS_NAME, max_length=63)] = Field(
        "default", description="Name of a server in the chart's `mlflowServers`."
    )
    experiment: Annotated[str, Field(pattern=r"^[^'\"\\`]+$", min_length=1, max_length=256)] = Field(
        description="Name of the experiment that evaluations are logged to."
    )
    filter: Annotated[str, Field(max_length=1024)] = Field(
        "tags.`perennial.dev/revision` = '$revision'",
        description="Which of its runs, in MLflow's search syntax; $namespace, $deployment and $revision are filled "
        "in. Only runs that were started in the window count.",
    )

    def question(self, matter: Matter) -> Runs:
        """The runs of the window, of this revision."""
        known = {"namespace": matter.namespace, "deployment": matter.deployment, "revision": matter.revision}
        return Runs(
            at=matter.at,
            since=matter.at - matter.interval,
            server=self.server,
            experiment=self.experiment,
            filter=Template(self.filter).safe_substitute(known),
            metric=matter.metric,
        )
