"""Perennial keeps machine-learning models fresh: a Kubernetes operator for training, serving and retraining."""

__version__ = "0.1.0"
