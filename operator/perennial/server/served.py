"""The state that the HTTP handlers and the process share: which model, loaded or not, draining or not."""

from perennial.server.errors import RequestError
from perennial.server.predictor import AnyPredictor
from perennial.server.settings import Settings


class Served:
    """One model under one name. `predictor` appears once it is loaded; `draining` never goes back."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.model_name
        self.version = settings.model_version
        self.platform = settings.model_format
        self.predictor: AnyPredictor | None = None
        self.draining = False

    @property
    def ready(self) -> bool:
        """May new traffic come here? False while draining, although predictions are still answered."""
        return self.predictor is not None and not self.draining

    def known(self, name: str, version: str | None) -> None:
        """RequestError 404 unless this model, in this version if one is said, is the one served."""
        if name != self.name:
            raise RequestError(404, "NotFound", f"there is no model {name!r:.80} here, only {self.name!r}")
        if version is not None and version != self.version:
            message = f"there is no version {version!r:.80} of {self.name} here, only {self.version!r}"
            raise RequestError(404, "NotFound", message)

    def loaded(self) -> AnyPredictor:
        """The predictor, or RequestError 503 while it is being loaded."""
        if self.predictor is None:
            raise RequestError(503, "Loading", f"the model {self.name} is being loaded", retry_after=1)
        return self.predictor
