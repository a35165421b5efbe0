"""Print one extra of pyproject.toml as requirements: an image holds that and nothing of the operator's own."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
sys.stdout.write("\n".join(project["optional-dependencies"][sys.argv[1]]) + "\n")
