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
"""
SECTIONS: Mapping[str, Sequence[Callable[[Scene], None]]] = {
    "TrainingJob": trainings.SCENES,
    "ModelVersion": deployments.VERSIONS,
    "ModelDeployment": deployments.SCENES,
    "RetrainPolicy": policies.SCENES,
}


def page(server: ApiServer) -> str:
    """The whole page, as the operator that serves this server says it now."""

    def played(play: Callable[[Scene], None]) -> str:
        scene = Scene(server)
        play(scene)
        return scene.text

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = {title: pool.map(played, scenes) for title, scenes in SECTIONS.items()}
        sections = [f"\n## {title}\n{''.join(texts)}" for title, texts in told.items()]
    return _INTRODUCTION + "".join(sections)
