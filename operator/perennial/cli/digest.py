"""`digest PATH`: what `digest` of an input or a model must say for this file or folder."""

from pathlib import Path

from perennial.agent import digest
from perennial.agent.failure import Unsuitable
from perennial.cli.problem import Problem


def run(path: Path) -> str:
    """The digest, as it stands in YAML. Problem when the path cannot be read or is nothing that a store could keep."""
    try:
        return digest.of_path(path)
    except Unsuitable as error:
        raise Problem(str(error)) from None
    except OSError as error:
        raise Problem(f"{error.filename or path}: {error.strerror}") from None
