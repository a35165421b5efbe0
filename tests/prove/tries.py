"""Tries to gain by what a pod template says: each would be worth something if its pod came to be."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from perennial.plan import Body
from perennial.pods import overlay

# What a training container is called where there are others beside it.
MAIN = "train"
# What Pod Security `restricted` asks for: a try is refused for what it says, and for nothing else.
PLAIN: Body = {
    "containers": [
        {
            "name": MAIN,
            "image": "main:1",
            "command": ["python", "main.py"],
            "securityContext": {
                "runAsNonRoot": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
    ]
}


@dataclass(frozen=True)
class Try:
    """What a pod spec says beside PLAIN.

    `words`: a part of what it is refused with in a namespace that enforces `restricted`; empty when any pod may say
    that there, which its author could then make by hand too. `harmless`: says the same field without harm, for what is
    refused everywhere; without it, the try itself comes to be in a namespace that enforces nothing.
    """

    name: str
    spec: Body
    words: str = ""
    harmless: Body | None = None
    metadata: Body = field(default_factory=dict)

    @property
    def template(self) -> Body:
        """The pod template that tries it."""
        return self._template(self.spec)

    @property
    def control(self) -> Body | None:
        """The pod template that says the field without harm, if there is one."""
        return None if self.harmless is None else self._template(self.harmless)

    def _template(self, spec: Body) -> Body:
        return {"metadata": self.metadata, "spec": overlay(PLAIN, spec)}


def _main(**container: object) -> Body:
    return {"containers": [{"name": MAIN, **container}]}


def _security(**context: object) -> Body:
    return _main(securityContext=context)


def _beside(**container: object) -> Body:
    """A container beside the main one, which would be harmless but for this."""
    return {**PLAIN["containers"][0], "name": "beside", **container}


def _privileged() -> Body:
    return {"privileged": True, "allowPrivilegeEscalation": True}


def _volume(kind: str, **source: object) -> Try:
    spec = {"volumes": [{"name": "stolen", kind: source}]}
    mount = _main(volumeMounts=[{"name": "stolen", "mountPath": "/stolen"}])
    return Try(f"volume {kind}", spec | mount, "restricted volume types")


def _kept(kind: str, **source: object) -> Try:
    """A volume that any pod of the namespace may have."""
    found = _volume(kind, **source)
    return Try(found.name, found.spec)


def _path(path: str) -> Try:
    found = _volume("hostPath", path=path)
    return Try(f"hostPath {path}", found.spec, found.words)


def _asks(name: str, handler: Body) -> Try:
    """The kubelet would ask that host, from the node."""
    return Try(f"{name} of {handler}", _main(**{name: handler}), "probe or lifecycle host")


HOST = (
    Try("hostNetwork", {"hostNetwork": True}, "hostNetwork=true"),
    Try(
        "hostNetwork with the node's DNS", {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, "host namesp"
    ),
    Try("hostPID", {"hostPID": True}, "hostPID=true"),
    Try("hostIPC", {"hostIPC": True}, "hostIPC=true"),
    Try("hostPort", _main(ports=[{"containerPort": 80, "hostPort": 80}]), "hostPort"),
    Try("hostPort of the kubelet", _main(ports=[{"containerPort": 10250, "hostPort": 10250}]), "hostPort"),
    Try("hostUsers and /proc", {"hostUsers": False} | _security(procMount="Unmasked"), "procMount"),
    Try("sysctl kernel.msgmax", {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, "sysctl"),
    Try("sysctl net.ipv4", {"securityContext": {"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]}}, "sysctl"),
    *map(
        _path, ("/", "/etc/kubernetes", "/var/run/docker.sock", "/var/lib/kubelet/pods", "/proc", "/dev/mem", "/root")
    ),
)

PRIVILEGE = (
    Try("privileged", _security(**_privileged()), "privileged"),
    Try("privilege escalation", _security(allowPrivilegeEscalation=True), "allowPrivilegeEscalation != false"),
    *(
        Try(f"capability {name}", _security(capabilities={"drop": ["ALL"], "add": [name]}), "unrestricted capabilities")
        for name in ("SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "SYS_MODULE", "DAC_READ_SEARCH", "ALL")
    ),
    Try("capabilities kept", _security(capabilities={"drop": ["CHOWN"]}), "unrestricted capabilities"),
    Try("root, by the container", _security(runAsUser=0, runAsNonRoot=False), "runAsNonRoot != true"),
    Try("user 0", _security(runAsUser=0), "runAsUser=0"),
    Try("user 0, by the pod", {"securityContext": {"runAsUser": 0}}, "runAsUser=0"),
    Try(
        "root, by the pod", _security(runAsNonRoot=None) | {"securityContext": {"runAsNonRoot": False}}, "runAsNonRoot"
    ),
    Try("no seccomp", _security(seccompProfile={"type": "Unconfined"}), "seccompProfile"),
    Try("no seccomp, by the pod", {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "seccompProfile"),
    Try("no AppArmor", _security(appArmorProfile={"type": "Unconfined"}), "AppArmor"),
    Try("no AppArmor, by the pod", {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, "AppArmor"),
    Try("SELinux type", _security(seLinuxOptions={"type": "spc_t"}), "seLinuxOptions"),
    Try("SELinux user, by the pod", {"securityContext": {"seLinuxOptions": {"user": "system_u"}}}, "seLinuxOptions"),
    Try(
        "a Windows host process",
        {"hostNetwork": True, "securityContext": {"windowsOptions": {"hostProcess": True}, "runAsUser": None}},
        "hostProcess",
    ),
    Try("a privileged container beside", {"containers": [_beside(securityContext=_privileged())]}, "privileged"),
    Try("a privileged one before", {"initContainers": [_beside(securityContext=_privileged())]}, "privileged"),
    Try(
        "a privileged one before, that stays",
        {"initContainers": [_beside(securityContext=_privileged(), restartPolicy="Always")]},
        "privileged",
    ),
    Try(
        "a hostPort of one before, that stays",
        {"initContainers": [_beside(ports=[{"containerPort": 1, "hostPort": 1}], restartPolicy="Always")]},
        "hostPort",
    ),
)

VOLUMES = (
    _volume("nfs", server="169.254.169.254", path="/"),
    _volume("iscsi", targetPortal="127.0.0.1:3260", iqn="iqn.2026-11.example:stolen", lun=0),
    _volume("cephfs", monitors=["127.0.0.1:6789"]),
    _volume("rbd", monitors=["127.0.0.1:6789"], image="stolen"),
    _volume("fc", targetWWNs=["50060e801049cfd1"], lun=0),
    _volume("flexVolume", driver="example.org/any"),
    _volume("glusterfs", endpoints="any", path="/"),
    _volume("gcePersistentDisk", pdName="stolen"),
    _volume("awsElasticBlockStore", volumeID="vol-stolen"),
    _volume("azureFile", secretName="stolen", shareName="stolen"),
    _volume("gitRepo", repository="http://169.254.169.254/latest"),
    _volume("portworxVolume", volumeID="stolen"),
)

REQUESTS = (
    _asks("livenessProbe", {"httpGet": {"host": "169.254.169.254", "path": "/latest/meta-data", "port": 80}}),
    _asks("readinessProbe", {"tcpSocket": {"host": "127.0.0.1", "port": 10250}}),
    _asks("startupProbe", {"httpGet": {"host": "metadata.google.internal", "path": "/", "port": 80}}),
    _asks("lifecycle", {"preStop": {"httpGet": {"host": "169.254.169.254", "path": "/", "port": 80}}}),
    _asks("lifecycle", {"postStart": {"tcpSocket": {"host": "127.0.0.1", "port": 2379}}}),
)


def _account(name: str, words: str) -> Try:
    return Try(f"service account {name}", {"serviceAccountName": name}, words, {"serviceAccountName": "default"})


def _env(name: str) -> Try:
    def env(name: str) -> Body:
        return _main(env=[{"name": "STOLEN", "valueFrom": {"secretKeyRef": {"name": name, "key": "key"}}}])

    return Try(f"variable of the Secret {name}", env(name), "Invalid", env("mine"))


# What lies elsewhere: the API server refuses such a pod in every namespace.
ELSEWHERE = (
    _account("namespace-controller", "not found"),
    _account("kube-system:namespace-controller", "Invalid"),
    _account("../kube-system/namespace-controller", "Invalid"),
    _account("system:serviceaccount:kube-system:default", "Invalid"),
    *map(_env, ("victim/store", "../victim/store")),
    Try(
        "variables of the ConfigMap victim/settings",
        _main(envFrom=[{"configMapRef": {"name": "victim/settings"}}]),
        "Invalid",
        _main(envFrom=[{"configMapRef": {"name": "settings"}}]),
    ),
    Try(
        "a path out of a volume",
        {"volumes": [{"name": "mine", "emptyDir": {}}]}
        | _main(volumeMounts=[{"name": "mine", "mountPath": "/mine", "subPath": "../../kubelet"}]),
        "Invalid",
        {"volumes": [{"name": "mine", "emptyDir": {}}]}
        | _main(volumeMounts=[{"name": "mine", "mountPath": "/mine", "subPath": "kubelet"}]),
    ),
    Try(
        "a container that is added later",
        {"ephemeralContainers": [{"name": "later", "image": "later:1", "securityContext": _privileged()}]},
        "ephemeral",
        {"initContainers": [_beside()]},
    ),
    Try("a runtime class", {"runtimeClassName": "unconfined"}, "unconfined", {"schedulerName": "mine"}),
    Try("a priority class", {"priorityClassName": "highest"}, "highest", {"priorityClassName": "ordinary"}),
)

# What any author of a pod may say; and who may not create one may not say it here either.
OWN = (
    Try("nodeName", {"nodeName": "control-plane"}),
    Try("a toleration of everything", {"tolerations": [{"operator": "Exists"}]}),
    Try("the first priority of all", {"priorityClassName": "system-node-critical"}),
    Try(
        "another service account of the namespace",
        {"serviceAccountName": "robot", "automountServiceAccountToken": True},
    ),
    _kept("secret", secretName="robot"),
    # Nothing has such a name: it is looked for in the pod's own namespace.
    Try("volume of the Secret ../victim/store", _kept("secret", secretName="../victim/store").spec),
    Try("volume of the claim victim/models", _kept("persistentVolumeClaim", claimName="victim/models").spec),
    _kept("configMap", name="robot"),
    _kept("persistentVolumeClaim", claimName="robot"),
    _kept("csi", driver="example.org"),
    _kept(
        "projected",
        sources=[{"serviceAccountToken": {"path": "token", "audience": "https://sts.example.org"}}],
    ),
    _kept(
        "ephemeral",
        volumeClaimTemplate={"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Ti"}}}},
    ),
    Try("a Secret for pulling", {"imagePullSecrets": [{"name": "robot"}]}),
    Try("another name for a host", {"hostAliases": [{"ip": "169.254.169.254", "hostnames": ["store.example"]}]}),
    Try("the processes of all", {"shareProcessNamespace": True}),
    Try("labels of another's pods", {}, metadata={"labels": {"app": "payments"}}),
    Try("an annotation of another's", {}, metadata={"annotations": {"example.org/inject": "true"}}),
)

TRIES: tuple[Try, ...] = (*HOST, *PRIVILEGE, *VOLUMES, *REQUESTS, *ELSEWHERE, *OWN)


def named(tries: Iterable[Try]) -> dict[str, Try]:
    """The tries by names that objects may have."""
    return {f"t{number:02}": one for number, one in enumerate(tries)}
