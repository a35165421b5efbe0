"""What becomes of servers and of nodes is on the status in words, soon; and a bad model never gets traffic."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e import operators
from e2e.diary import SOON, Diary, Seen, bad_since
from e2e.lab import Body, Lab, condition, is_true
from e2e.load import Load
from e2e.served import PROBE, odd_server
from e2e.space import Space, program, serving, training, version
from e2e.store import BUCKET, Store
from perennial.agent import digest
from perennial.api.base import parse_time
from tests.prove.report import FULL, Proof, scaled

TITLE = "Workload truth"
SPACE = "e2e-truth"
DEADLINE = scaled(60, 30)  # seconds for a new revision to become ready
FILES = scaled(10_000, 500)
# An answer that is waited for, and every node's knowledge of where the Service leads, in seconds.
SETTLES = 6.0
LANES = 5  # each serves something good, and is offered one bad version after another
ZEROS = "sha256:" + "0" * 64

pytestmark = pytest.mark.proof(TITLE)


@dataclass(frozen=True)
class Sick:
    """A version whose server never serves: how it behaves, the reasons that are right for it, and words."""

    behaviour: str
    reasons: tuple[str, ...]
    words: str
    always: bool = True  # else only in full


def ends(behaviour: str, how: str, *, always: bool = False) -> Sick:
    """A server that ends, and is started again, and ends."""
    return Sick(behaviour, ("ContainerFailed", "CrashLoop"), f"ended with {how}", always)


SILENT = ("ProgressDeadlineExceeded",), "do not answer ready"
ALL_SICK = {
    "hangs in load": Sick("loading", *SILENT),
    "out of memory in load": Sick("greedy", ("OutOfMemory",), "more memory than its limit; raise limits.memory"),
    "wrong digest": Sick("fine", ("DigestMismatch",), f"not {ZEROS} as asked for"),
    "hangs when asked whether it is ready": Sick("undecided", *SILENT),
    "segfault": ends("segfault", "exit code 139 (SIGSEGV)", always=True),
    "model cannot be loaded": Sick("exit 78", ("ModelLoadFailed",), "could not load the model"),
    "accepts and never answers": Sick("silent", *SILENT),
    "exit 0": ends("exit 0", "exit code 0", always=True),
    "no files": Sick("", ("NotFound",), "not found"),
    **{f"exit {code}": ends(f"exit {code}", f"exit code {code}") for code in (1, 2, 126, 127, 255)},
    "exit 137": ends("exit 137", "exit code 137 (SIGKILL)"),
    "exit 143": ends("exit 143", "exit code 143 (SIGTERM)"),
    "ends and leaves a child": ends("parent 3", "exit code 3"),
}
SICK = {name: one for name, one in ALL_SICK.items() if FULL or one.always}
# The lane and the number of each: the first one of a lane is good.
PLACES = {name: (f"lane{at % LANES}", 2 + at // LANES) for at, name in enumerate(SICK)}


@dataclass(frozen=True)
class Offered:
    """A deployment of an odd server, to which versions are offered."""

    space: Space
    store: Store
    name: str

    @property
    def body(self) -> Body:
        return self.space.get("modeldeployment", self.name) or {}

    @property
    def address(self) -> str:
        return self.space.address(self.name)

    def begin(self, **spec: object) -> None:
        """With a first version that is fine."""
        template = odd_server(
            {"terminationGracePeriodSeconds": 2, "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]},
            readinessProbe=PROBE | {"failureThreshold": 1},
            resources={"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "96Mi"}},
            volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
        )
        self.offer(1, "fine")
        self.space.apply(serving(self.name, template=template, progressDeadlineSeconds=DEADLINE, **spec))

    def offer(self, number: int, behaviour: str, **spec: object) -> None:
        """A version whose server behaves so."""
        files = {"behaviour.txt": behaviour.encode()}
        where = self.store.put(f"{self.name}/{number}", files) if behaviour else {"uri": f"s3://{BUCKET}/none"}
        digest = {"digest": ZEROS} if not behaviour else {}
        self.space.apply(version(self.name, number, {**where, **digest, **spec}, format="files"))

    def pods(self, number: int) -> list[Body]:
        """The pods that serve a version."""
        return self.space.every(
            "pods", f"perennial.dev/modeldeployment={self.name},perennial.dev/model-version={number}"
        )

    def tell(self, pod: Body, path: str) -> None:
        """Ask a server for what it does not survive."""
        script = f"import urllib.request as u; u.urlopen('http://{pod['status']['podIP']}:8080/{path}', timeout=2)"
        self.space.lab.run(*self.space.lab.cluster.exec_command(["python3", "-c", script]), check=False)


@pytest.fixture(scope="module")
def diary(lab: Lab) -> Iterator[Diary]:
    with Diary(lab, SPACE) as diary:
        yield diary


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store, diary: Diary) -> Space:
    """All at once: most of the time they wait."""
    space = Space(lab, SPACE)
    space.use(store)
    for name in (*{lane for lane, _ in PLACES.values()}, "stalling", "fickle"):
        Offered(space, store, name).begin()
    for name in ("growing", "ending"):
        Offered(space, store, name).begin(replicas=2)
    return space


@pytest.fixture(scope="module")
def killed(space: Space, store: Store) -> "Future[list[str]]":
    """An agent that is killed when its first files are there. All of what was there then, by name."""
    output = {"uri": f"s3://{BUCKET}"}
    space.apply(training("crowd", program("many"), parameters={"files": FILES}, output=output, backoffLimit=1))
    prefix = f"crowd/{(space.get('trainingjob', 'crowd') or {})['metadata']['uid']}/"

    def kill() -> list[str]:
        def begun() -> bool:
            return any(".perennial" not in name for name in store.names(prefix))

        space.until("files of the first attempt are there", begun, 180, every=0.05)
        (pod,) = space.every("pods", "perennial.dev/trainingjob=crowd")
        operators.kill(pod, b"publish")
        return store.names(prefix)

    return ThreadPoolExecutor(1).submit(kill)


@pytest.fixture(scope="module")
def lanes(space: Space, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Good versions under load, and all the bad ones offered at once: the highest is tried first."""
    lanes = {lane: Offered(space, store, lane) for lane, _ in PLACES.values()}
    for lane in lanes:
        space.serves(lane, 1)
    with Load(space.lab, tmp_path_factory.mktemp("lanes"), *(one.address for one in lanes.values()), rate=15) as load:
        # The highest first, or it would take the place of one that has just begun.
        for name, (lane, number) in reversed(PLACES.items()):
            wrong = {"digest": ZEROS} if name == "wrong digest" else {}
            lanes[lane].offer(number, SICK[name].behaviour, **wrong)
        yield load


@pytest.mark.usefixtures("lanes")
def test_one_that_hangs_while_it_takes_over_loses_its_traffic_again(
    space: Space, store: Store, tmp_path: Path, proof: Proof
) -> None:
    served = Offered(space, store, "fickle")
    space.serves("fickle", 1)
    with Load(space.lab, tmp_path, served.address, rate=10) as load:
        served.offer(2, "fine")

        def ready() -> Body | None:
            return next((pod for pod in served.pods(2) if condition(pod, "Ready")["status"] == "True"), None)

        served.tell(space.until("version 2 is ready", ready, 60, every=0.2), "hang")
        said = space.says("modeldeployment", "fickle", "Ready", "False", "RolloutFailed")
        assert "do not answer ready" in said["message"]
        assert served.body["status"]["traffic"]["revision"] == served.body["status"]["stableRevision"]
        time.sleep(SETTLES)
        before, sent = load.counts(), load.sent()
        space.until("more requests were sent", lambda: load.sent() > sent + 50, 30)
        after = load.stop()
    assert after["failures"] == before["failures"], after
    assert after["versions"].get("2") == before["versions"].get("2")
    assert set(after["versions"]) <= {"1", "2"}
    proof.count("servers that hang while they take over")


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("growing", "grow", "exit code 137 (OOMKilled), for using more memory than its limit"),
        ("ending", "exit/0", "exit code 0"),
    ],
)
def test_what_a_server_died_of_is_known_while_it_serves_again(
    space: Space, store: Store, diary: Diary, tmp_path: Path, proof: Proof, name: str, path: str, words: str
) -> None:
    served = Offered(space, store, name)
    space.serves(name, 1)
    with Load(space.lab, tmp_path, served.address, rate=10) as load:
        pod = served.pods(1)[0]
        served.tell(pod, path)

        def told() -> bool:
            (revision,) = served.body["status"]["revisions"]
            return words in revision.get("lastFailure", "")

        space.until(f"it is told what {name} died of", told, 60, every=0.2)
        said = time.time()
        space.serves(name, 1)
        assert told()
        before, sent = load.counts()["failures"], load.sent()
        space.until("more requests were sent", lambda: load.sent() > sent + 20, 30)
        counts = load.stop()
    assert set(counts["versions"]) == {"1"}
    assert counts["failures"] == before
    became = bad_since(diary.states("pods", pod["metadata"]["name"]))
    assert became is not None
    assert said - became < SOON
    proof.count("servers that die under load")


@pytest.mark.usefixtures("killed")
def test_one_that_hangs_after_it_took_over_is_told_and_does_not_block_its_fix(
    space: Space, store: Store, diary: Diary, proof: Proof
) -> None:
    served = Offered(space, store, "stalling")
    space.serves("stalling", 1)
    (pod,) = served.pods(1)
    served.tell(pod, "hang")
    words = "they run, but do not answer ready"
    space.says("modeldeployment", "stalling", "Ready", "False", words)
    space.says("modeldeployment", "stalling", "Available", "False", "NoReadyReplica")
    became = bad_since(diary.states("pods", pod["metadata"]["name"]))
    said = diary.said("modeldeployments", "stalling", "ReplicasNotReady", words)
    assert became is not None
    assert said is not None
    assert said - became < SOON
    served.offer(2, "fine")
    space.serves("stalling", 2)
    proof.count("servers that hang after they took over")


@pytest.mark.parametrize("name", SICK)
def test_one_that_never_serves_is_vetoed_in_words(
    space: Space, store: Store, lanes: Load, diary: Diary, proof: Proof, name: str
) -> None:
    lane, number = PLACES[name]
    served, wanted = Offered(space, store, lane), SICK[name]
    tries = 2 * DEADLINE * len(SICK) / LANES

    def vetoed() -> Body | None:
        vetoes = served.body["status"].get("vetoes") or ()
        return next((one for one in vetoes if one["version"] == number), None)

    veto = space.until(f"version {number} of {lane} is vetoed", vetoed, 60 + tries)
    assert veto["reason"] in wanted.reasons, veto
    assert wanted.words in veto["message"]
    assert is_true(served.body, "Available")
    assert served.body["status"]["modelVersion"] == f"{lane}-1"
    became = _went_wrong(diary, lane, number)
    said = _said(diary, lane, number, wanted.words)
    assert said - became < SOON
    proof.count("servers that never serve")


def test_no_bad_version_got_traffic(space: Space, lanes: Load, proof: Proof) -> None:
    for lane in sorted({lane for lane, _ in PLACES.values()}):
        space.says("modeldeployment", lane, "Ready", "False", "RolloutFailed")
    stable = {(space.get("modeldeployment", lane) or {})["status"]["stableRevision"] for lane, _ in PLACES.values()}
    counts = lanes.stop()
    assert counts["failures"] == 0, counts
    assert set(counts["versions"]) == {"1"}
    assert set(counts["revisions"]) == stable
    proof.count("requests answered by the good ones", sum(counts["requests"].values()))


@pytest.mark.full
@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param("fill", "Usage of EmptyDir volume", id="killed"),
        # All that Kubernetes keeps of it is that it was not the server's own end.
        pytest.param("fill/leave", "its node has stopped it", id="ends with 0"),
    ],
)
def test_one_that_is_evicted_is_told_so_and_is_replaced(
    space: Space, store: Store, diary: Diary, proof: Proof, path: str, words: str
) -> None:
    served = Offered(space, store, "ending")
    space.serves("ending", 1)
    pod = next(pod for pod in served.pods(1) if is_true(pod, "Ready"))
    served.tell(pod, path)

    def told() -> bool:
        (revision,) = served.body["status"]["revisions"]
        return words in revision.get("lastFailure", "")

    space.until("it is told that it was evicted", told, 150)
    said = time.time()
    space.serves("ending", 1)
    states = diary.states("pods", pod["metadata"]["name"])
    became = next(seen.at for seen in states if seen.body["status"].get("phase") in ("Failed", "Succeeded"))
    assert said - became < SOON
    proof.count("servers that are evicted")


def test_a_publication_that_is_killed_half_way_counts_for_nothing_and_is_done_again(
    space: Space, store: Store, killed: "Future[list[str]]", diary: Diary, proof: Proof
) -> None:
    there = killed.result()
    job = space.finished("crowd", 900)
    status, prefix = job["status"], f"crowd/{job['metadata']['uid']}/"
    assert [one["outcome"] for one in status["attempts"]] == ["Failed", "Succeeded"], status
    first = status["attempts"][0]["pod"]
    assert 1 < len(there) <= FILES
    for names in (there, store.names(prefix)):
        assert f"{prefix}{first}/.perennial/result.json" not in names
    became = bad_since(diary.states("pods", first))
    said = diary.said("trainingjobs", "crowd", "AgentFailed", "exit code 137 (SIGKILL) before it had published")
    assert became is not None
    assert said is not None
    assert said - became < SOON

    record = space.get("modelversion", "crowd-1") or {}
    whole = f"{prefix}{status['attempts'][1]['pod']}"
    assert record["spec"]["uri"] == f"s3://{BUCKET}/{whole}"
    hashes = {str(number): hashlib.sha256(str(number).encode()).hexdigest() for number in range(FILES)}
    assert record["spec"]["digest"] == digest.of_lines(hashes)
    assert sum(name.startswith(f"{whole}/") for name in store.names(prefix)) == FILES + 2
    proof.count("files published whole after a kill", FILES)


def test_a_node_that_falls_silent_is_told_with_the_time(lab: Lab, lost: "Future[Space]", proof: Proof) -> None:
    space = lost.result()
    words = "is not ready since"
    said = space.says("trainingjob", "hollow-silent", "Running", "True", words)
    assert said["reason"] == "NodeNotReady"
    assert "node hollow-silent is not ready since" in said["message"]
    assert "delete it" in said["message"]
    space.says("modeldeployment", "hollow-silent", "Ready", "False", f"node hollow-silent {words}")
    space.says("modeldeployment", "hollow-silent", "Available", "False", "NoReadyReplica")
    (pod,) = space.every("pods", "perennial.dev/trainingjob=hollow-silent")
    events = [one for one in space.every("events") if one["reason"] == "NodeNotReady"]
    told = min(parse_time(one["firstTimestamp"]) for one in events if one["involvedObject"]["kind"] == "TrainingJob")
    assert (told - parse_time(condition(pod, "Ready")["lastTransitionTime"])).total_seconds() < SOON
    proof.count("nodes that fall silent")


def test_a_node_that_is_gone_costs_an_attempt_that_is_not_counted(
    lab: Lab, lost: "Future[Space]", proof: Proof
) -> None:
    space = lost.result()

    def disrupted() -> Body | None:
        status = (space.get("trainingjob", "hollow-gone") or {}).get("status") or {}
        return status if (status.get("failure") or {}).get("reason") == "Disrupted" else None

    status = space.until("the attempt is told to be lost", disrupted, 150)
    assert "DeletionByPodGC" in status["failure"]["message"]
    assert status["attempts"][0]["outcome"] == "Disrupted"
    space.says("trainingjob", "hollow-gone", "Running", "False", "cannot be scheduled")
    proof.count("nodes that are gone")


def _states(diary: Diary, name: str, number: int) -> Iterator[tuple[Seen, str, str]]:
    """What was said of a version of a deployment since it is rolled out: the words, and when it last got on."""
    for seen in diary.states("modeldeployments", name):
        status = seen.body.get("status") or {}
        rolling = status.get("rollout") or {}
        if rolling.get("version") == number:
            yield seen, rolling.get("message", ""), rolling["progressTime"]
        for veto in status.get("vetoes") or ():
            if veto["version"] == number:
                yield seen, veto["message"], ""


def _said(diary: Diary, name: str, number: int, words: str) -> float:
    return next(seen.at for seen, message, _ in _states(diary, name, number) if words in message)


def _went_wrong(diary: Diary, name: str, number: int) -> float:
    """When a version's pod failed; one that only hangs, when it should have been ready."""
    pods = diary.pods("perennial.dev/modeldeployment", name)
    mine = [
        states for states in pods if states[0].body["metadata"]["labels"]["perennial.dev/model-version"] == str(number)
    ]
    failed = [at for states in mine if (at := bad_since(states))]
    if failed:
        return min(failed)
    progress = max(at for _, _, at in _states(diary, name, number) if at)
    return parse_time(progress).timestamp() + DEADLINE
