"""The life of every kind, played on an API server with an operator of the chart's own presets."""

import json
import tempfile
from pathlib import Path

from e2e.cluster.apiserver import ApiServer
from tests.apiserver.operators import PRESETS, USER, Perennial, apply_kinds
from tests.outputs.page import page


def played() -> str:
    """The page, with what kubectl says at each turn."""
    with tempfile.TemporaryDirectory() as folder:
        users = {USER: ["system:masters"]}
        with ApiServer(Path(folder), users=users, controller_manager=True) as server:
            apply_kinds(server)
            config = Path(folder) / "config.yaml"
            config.write_text(json.dumps(PRESETS))
            with Perennial(server, "perennial-0", config) as operator:
                operator.started()
                return page(server)
