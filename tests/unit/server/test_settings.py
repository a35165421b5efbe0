"""Settings from the environment, and the variable that a wrong one is told by."""

from pathlib import Path

import pytest

from perennial.server.errors import StartupError
from perennial.server.settings import Settings

NEEDED = {"PERENNIAL_MODEL_DIR": "/model", "PERENNIAL_MODEL_NAME": "churn"}


def test_folder_and_name_are_enough() -> None:
    settings = Settings.from_env(NEEDED)
    assert (settings.model_dir, settings.model_name) == (Path("/model"), "churn")
    assert (settings.model_format, settings.port, settings.drain_seconds) == ("sklearn", 8080, 10)
    assert settings.threads >= 1


def test_trusted_types_are_separated_by_commas_or_blanks() -> None:
    settings = Settings.from_env({**NEEDED, "PERENNIAL_TRUSTED_TYPES": "a.B, c.D\n e.F"})
    assert settings.trusted_types == ("a.B", "c.D", "e.F")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"PERENNIAL_MODEL_DIR": ""}, "PERENNIAL_MODEL_DIR must be set"),
        ({"PERENNIAL_MODEL_NAME": ""}, "PERENNIAL_MODEL_NAME must be set"),
        ({"PERENNIAL_REVISION": "a\r\nb: c"}, "PERENNIAL_REVISION must be printable ASCII"),
        ({"PERENNIAL_PORT": "http"}, "PERENNIAL_PORT must be a number, is 'http'"),
        ({"PERENNIAL_PORT": "70000"}, "PERENNIAL_PORT must be between 0 and 65535"),
        ({"PERENNIAL_THREADS": "0"}, "PERENNIAL_THREADS must be between 1 and 256"),
        ({"PERENNIAL_REQUEST_LOG_PERCENT": "101"}, "PERENNIAL_REQUEST_LOG_PERCENT must be between 0"),
        ({"PERENNIAL_REQUEST_LOG_COLUMNS": "age"}, "PERENNIAL_REQUEST_LOG_COLUMNS must be a JSON list of names"),
        ({"PERENNIAL_REQUEST_LOG_COLUMNS": "[1]"}, "PERENNIAL_REQUEST_LOG_COLUMNS must be a JSON list of names"),
        ({"PERENNIAL_DRAIN_SECONDS": "nan"}, "PERENNIAL_DRAIN_SECONDS must be between"),
    ],
)
def test_a_wrong_variable_is_named(change: dict[str, str], message: str) -> None:
    with pytest.raises(StartupError, match=message):
        Settings.from_env({**NEEDED, **change})
