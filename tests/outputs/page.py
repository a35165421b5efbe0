"""The page docs/outputs.md: all scenes are played beside each other, and told one after the other."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2e.cluster.apiserver import ApiServer
from tests.outputs import deployments, policies, trainings
from tests.outputs.scene import Scene

PAGE = Path(__file__).parents[2] / "docs" / "outputs.md"
_AT_ONCE = 16
_INTRODUCTION = """\
# What kubectl says
What `kubectl get`, `kubectl describe` and the Events say of each kind, at each turn of its life. `-o wide` has the
`MESSAGE`: why it is so, and what to do next. `kubectl describe` has the same as conditions, which programs read
(`kubectl wait --for=condition=...`), and everything behind it.

`make outputs` writes this page: it plays every turn against a real API server with Kubernetes' own controllers and the
operator; only the pods are played. A test fails when the operator says something else. Every time is shown as
2026-11-21T10:00:00Z and every age as `5m`; the random parts of names, uids and the namespace are always the same. Where
`...` stands in a description, the rest of it is left out.
"""
Story = Callable[[Scene], None]
SECTIONS: Mapping[str, Sequence[Story]] = {
    "TrainingJob": trainings.SCENES,
    "ModelVersion": deployments.VERSIONS,
    "ModelDeployment": deployments.SCENES,
    "RetrainPolicy": policies.SCENES,
    "Model": (),
    "MetricSeries": (),
    "All of them": (),
    "The fields": (policies.explained,),
}


def page(server: ApiServer) -> str:
    """The whole page, as the operator that serves this server says it now."""

    def played(kind: str, play: Story) -> Mapping[str, str]:
        scene = Scene(server, kind)
        play(scene)
        return scene.texts

    texts = dict.fromkeys(SECTIONS, "")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        scenes = [pool.submit(played, kind, play) for kind, stories in SECTIONS.items() for play in stories]
        for scene in scenes:
            for kind, text in scene.result().items():
                texts[kind] += text
    return _INTRODUCTION + "".join(f"\n## {kind}\n{text}" for kind, text in texts.items())
