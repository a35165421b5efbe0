"""Talking to the Kubernetes API: a client of few methods with plain bodies, its errors, credentials and Events."""
