"""blueGreen under load: the new revision is reached by its preview only, and then gets all requests at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import operators
from e2e.lab import Lab
from e2e.load import Load
from e2e.served import RATE, Served, odd_server, tried
from e2e.space import Space, serving
from e2e.store import Store


@pytest.fixture(scope="module")
def served(lab: Lab, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Version 1 serves, and is asked all the time."""
    space = Space(lab, "e2e-blue-green", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    space.apply(tried(store, "whole", 1))
    strategy = {"blueGreen": {"autoPromotionEnabled": False}}
    space.apply(serving("whole", replicas=3, template=odd_server(), strategy=strategy, scaleDownDelay="20s"))
    space.serves("whole", 1)
    folder = Path(tmp_path_factory.mktemp("blue-green"))
    with Load(lab, folder, space.address("whole"), rate=RATE) as load:
        yield Served(space, load, "whole")


def test_all_requests_go_over_at_once_when_a_person_says_so(
    served: Served, store: Store, lab: Lab, tmp_path: Path
) -> None:
    space = served.space
    space.apply(tried(store, "whole", 2))
    served.at(0)
    with served.scenario(2), Load(lab, tmp_path, space.address("whole-preview"), rate=5) as preview:
        space.until("the preview answers", lambda: preview.counts()["versions"].get("2", 0) > 10)
        assert set(preview.counts()["versions"]) == {"2"}
        assert set(served.load.counts()["versions"]) == {"1"}
        served.ask("skip-step", "1")
        operators.replace_leader(lab)
        space.serves("whole", 2)
        assert preview.counts()["failures"] == 0
    fresh = served.load.counts()["fresh"]

    def all_over() -> bool:
        now = served.load.counts()["fresh"]
        return bool(now["2"] > fresh["2"] + 100 and now["1"] == fresh["1"])

    space.until("only version 2 answers new connections", all_over)


def test_with_another_strategy_there_is_no_preview(served: Served) -> None:
    space = served.space
    space.kubectl("patch", "mdep", "whole", "--type=json", "-p", '[{"op": "remove", "path": "/spec/strategy"}]')
    space.until("the preview is gone", lambda: space.get("service", "whole-preview") is None)


def test_golden_requests_let_through_only_what_answers_alike(served: Served, store: Store) -> None:
    space = served.space
    lines = {"golden.jsonl": b'{"inputs": [1]}\n{"inputs": [2]}\n'}
    golden = {"uri": f"{store.put('golden', lines)['uri']}/golden.jsonl", "maxDifference": 0.5}
    space.kubectl("patch", "mdep", "whole", "--type=merge", "-p", json.dumps({"spec": {"golden": golden}}))
    with served.scenario(2):
        space.apply(tried(store, "whole", 3, "predicts 7"))
        assert "of 2 golden requests the answers are 7 apart" in served.vetoed(3)["message"]
        assert "3" not in served.load.counts()["versions"], "nobody else has asked it"
    space.apply(tried(store, "whole", 4, "predicts 0.25"))
    space.serves("whole", 4)
    words = [event["message"] for event in space.every("events") if event["reason"] == "GoldenPassed"]
    assert "2 golden requests: at most 0.25 apart" in words[0]
    served.unharmed(4)


def test_no_request_failed(served: Served) -> None:
    counts = served.load.stop()
    print(counts)
    assert counts["failures"] == 0, counts["words"]
