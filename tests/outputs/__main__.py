"""Play the life of every kind on an API server, and write what kubectl says of it to docs/outputs.md."""

import json
import tempfile
from pathlib import Path

from e2e.cluster.apiserver import ApiServer
from tests.apiserver.operators import PRESETS, USER, Perennial, apply_kinds
from tests.outputs.page import PAGE, page


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        users = {USER: ["system:masters"]}
        with ApiServer(Path(folder), users=users, controller_manager=True) as server:
            apply_kinds(server)
            config = Path(folder) / "config.yaml"
            config.write_text(json.dumps(PRESETS))
            with Perennial(server, "perennial-0", config) as operator:
                operator.started()
                PAGE.write_text(page(server))


if __name__ == "__main__":
    main()
