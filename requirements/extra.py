"""Print extras of pyproject.toml as requirements: an image holds those and nothing of the operator's own."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
sys.stdout.writelines(f"{line}\n" for extra in sys.argv[1:] for line in project["optional-dependencies"][extra])
