"""The kinds that the operator reconciles. A new kind is a folder and a line here."""

from perennial import model, modeldeployment, modelversion, retrainpolicy, trainingjob
from perennial.view import Controller

CONTROLLERS: tuple[Controller, ...] = (
    trainingjob.CONTROLLER,
    model.CONTROLLER,
    modelversion.CONTROLLER,
    modeldeployment.CONTROLLER,
    retrainpolicy.CONTROLLER,
)
