"""The API server and the namespace that the caller's kubeconfig means, asked by the official client."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from yaml import YAMLError

from perennial.api.resources import Resource
from perennial.cli.problem import Problem, Refused

Body = dict[str, Any]
# Seconds. Behind a proxy that answers nothing a person would wait for minutes.
_PATIENCE = 30
# Seconds between requests that a busy server answers with 429.
_BUSY = (0.5, 1, 2, 4)
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Cluster:
    """`namespace` is the one that is meant. Every method raises Problem; Refused for an answer of the server."""

    def __init__(self, configuration: client.Configuration, namespace: str) -> None:
        # Else one that is down is asked four times, and each is logged.
        configuration.retries = False
        # As kubectl, which does not remark on `insecure-skip-tls-verify` either.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.namespace = namespace
        self.api = client.ApiClient(configuration)
        self._server = configuration.host

    def find(self, resource: Resource, name: str) -> Body | None:
        """An object of one of Perennial's kinds; None when there is none of that name."""
        objects = client.CustomObjectsApi(self.api)
        try:
            with self.asking():
                return dict(_patiently(objects.get_namespaced_custom_object, *_place(resource, self.namespace), name))
        except Refused as refused:
            if refused.code == 404:
                return None
            raise

    def get(self, resource: Resource, name: str) -> Body:
        """The object. Problem when it is not there."""
        found = self.find(resource, name)
        if found is None:
            raise Problem(
                f"{resource.kind.lower()} {name!r} not found in namespace {self.namespace!r}: "
                f"see `kubectl get {resource.plural} -n {self.namespace}`, or give another -n"
            )
        return found

    def every(self, resource: Resource) -> list[Body]:
        """All objects of one of Perennial's kinds in the namespace."""
        objects = client.CustomObjectsApi(self.api)
        with self.asking():
            found = _patiently(objects.list_namespaced_custom_object, *_place(resource, self.namespace))
        return [dict(one) for one in found["items"]]

    def patch(self, resource: Resource, name: str, change: Body) -> None:
        """Merge the change into an object."""
        objects = client.CustomObjectsApi(self.api)
        with self.asking():
            _patiently(objects.patch_namespaced_custom_object, *_place(resource, self.namespace), name, change)

    def user(self) -> str:
        """Who the API server takes the caller for."""
        with self.asking():
            answer: Any = client.AuthenticationV1Api(self.api).create_self_subject_review(
                client.V1SelfSubjectReview(), _request_timeout=_PATIENCE
            )
        return str(answer.status.user_info.username)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around requests of the client: what it raises comes out as Problem."""
        try:
            yield
        except ApiException as error:
            raise _problem(error, self._server) from None
        except urllib3.exceptions.HTTPError as error:
            raise Problem(
                f"the API server {self._server} cannot be reached ({_short(error)}): is it the right --context?"
            ) from None


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Cluster:
    """As kubectl finds it: by the kubeconfig, in which `context` is the current one if none is given; without any, by
    the service account of the pod that we run in. Problem when there is neither."""
    if kubeconfig and not Path(kubeconfig).is_file():
        raise Problem(f"--kubeconfig {kubeconfig}: no such file")
    configuration = client.Configuration()
    try:
        if kubeconfig is None and context is None and _in_pod():
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            return Cluster(configuration, namespace or _OWN_NAMESPACE.read_text().strip())
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, context=context, client_configuration=configuration
        )
        return Cluster(configuration, namespace or _namespace(kubeconfig, context))
    except (ConfigException, OSError, YAMLError) as error:
        why = _short(error).removeprefix("Invalid kube-config file. ").rstrip(".")
        raise Problem(f"kubeconfig: {why}: give another --kubeconfig or --context, or set KUBECONFIG") from None


def _in_pod() -> bool:
    default = Path("~/.kube/config").expanduser()
    return "KUBECONFIG" not in os.environ and not default.exists() and _OWN_NAMESPACE.exists()


def _namespace(kubeconfig: str | None, context: str | None) -> str:
    try:
        contexts, current = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
    except ConfigException:
        # The client reads no context's namespace where none is the current one.
        raise Problem("the kubeconfig has no current context: give -n as well as --context") from None
    meant = next(one for one in contexts if one["name"] == context) if context else current
    return str(meant["context"].get("namespace") or "default")


def _patiently(ask: Callable[..., Any], *what: Any) -> Any:
    """As kubectl does, ask again when the server is busy, or a kind is so new to it that it is not ready yet."""
    for wait in _BUSY:
        try:
            return ask(*what, _request_timeout=_PATIENCE)
        except ApiException as error:
            if error.status != 429:
                raise
        time.sleep(wait)
    return ask(*what, _request_timeout=_PATIENCE)


def _place(resource: Resource, namespace: str) -> tuple[str, str, str, str]:
    return resource.group, resource.version, namespace, resource.plural


def _problem(error: ApiException, server: str) -> Problem:
    """In the server's own words, without those on its machinery."""
    if not error.status:
        return Problem(f"{server}: {_short(error.reason)}")
    if error.status == 401:
        return Refused(401, f"{server} does not know you (401): log in again, or give another --context")
    try:
        message = str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        if error.status == 404:
            return Problem(f"{server} does not know Perennial's kinds: install Perennial, or give another --context")
        return Refused(error.status, f"{server} answers {error.status} {error.reason}")
    return Refused(error.status, message.rpartition("denied request: ")[2])


def _short(error: object) -> str:
    text = " ".join(str(error).split())
    # urllib3: "HTTPSConnectionPool(...): Max retries exceeded with url: ... (Caused by NewConnectionError("...: why"))"
    return text.rpartition(": ")[2].rstrip("'\")") if "Connection" in text else text
