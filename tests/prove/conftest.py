"""The servers and the operator that the proofs share with the API server tests."""

from tests.apiserver.conftest import apiserver, config, controlled, kinds, kubelet, perennial, space, toy_server

__all__ = ["apiserver", "config", "controlled", "kinds", "kubelet", "perennial", "space", "toy_server"]
