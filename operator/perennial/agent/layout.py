"""Where everything lies in the pods: the shared volume, the mounted claims, the termination message."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MARKERS = ".perennial"  # a folder beside a model for what we write about it; no part of the model
RESULT = f"{MARKERS}/result.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one pod. The environment moves them in tests."""

    root: Path
    volumes: Path
    launcher: Path
    termination_log: Path

    @classmethod
    def from_environment(cls) -> Self:
        env = os.environ
        return cls(
            root=Path(env.get("PERENNIAL_ROOT", "/perennial")),
            volumes=Path(env.get("PERENNIAL_VOLUMES", "/perennial-volumes")),
            launcher=Path(env.get("PERENNIAL_LAUNCHER", "/opt/perennial/launch")),
            termination_log=Path(env.get("PERENNIAL_TERMINATION_LOG", "/dev/termination-log")),
        )

    @property
    def launch(self) -> Path:
        return self.root / "bin" / "launch"

    @property
    def parameters(self) -> Path:
        return self.root / "parameters.json"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def champion(self) -> Path:
        return self.root / "champion"

    @property
    def output(self) -> Path:
        return self.root / "output"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def fifo(self) -> Path:
        return self.run / "fifo"
