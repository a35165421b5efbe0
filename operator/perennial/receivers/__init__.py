"""Who is told what happens: each receiver is a module, and a line in `receivers`."""

from perennial.config import Config
from perennial.kube.client import Client
from perennial.receivers.events import Events
from perennial.receivers.recorder import Receiver, Recorder, Told

__all__ = ["Receiver", "Recorder", "Told", "receivers"]


def receivers(client: Client, config: Config) -> list[Receiver]:
    """All of them. `client` writes only while we lead."""
    return [Events(client)]
