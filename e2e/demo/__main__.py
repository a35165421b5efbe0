"""`make demo`: a cluster of its own, Perennial in it, and the loop on real data, told as it happens."""

import argparse
import shutil
import sys
import time

from e2e.cluster import tools
from e2e.cluster.cache import ClusterError
from e2e.demo.story import NAMESPACE, Story
from e2e.lab import Failed, Lab

NAME = "perennial-demo"


def main() -> int:
    """Play the demo from where it is, and leave everything up."""
    parser = argparse.ArgumentParser(prog="python -m e2e.demo", description=__doc__)
    parser.add_argument("--name", default=NAME, help="the cluster's name (default: %(default)s)")
    name = parser.parse_args().name
    started = time.monotonic()

    def say(line: str) -> None:
        at = int(time.monotonic() - started)
        print(f"{at // 60:3}:{at % 60:02}  {line}", flush=True)

    try:
        play(name, say)
    except (Failed, ClusterError) as error:
        print(f"\n{error}\n\nThe same command goes on from here.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def play(name: str, say: object) -> None:
    """Every step in order; each knows whether it is done."""
    assert callable(say)
    say(f"A cluster of its own: {name}")
    lab = Lab(name)
    lab.up()
    say("Perennial by Helm")
    lab.install()
    story = Story(lab, say)

    def turn(title: str) -> None:
        say(f"── {title}")

    turn("Train")
    story.world()
    story.train()
    turn("Serve")
    story.serve()
    if not story.changed():
        story.ask()
    turn("Watch")
    story.watch()
    show(story)
    turn("The world changes")
    story.turn()
    story.recover()
    story.ask()
    requests, failures = story.failed_requests()
    say(f"Requests since the change: {requests}, failed: {failures}, through the change of version.")
    show(story)
    export = f"export KUBECONFIG={lab.cluster.kubeconfig}"
    if shutil.which("kubectl") is None:
        export += f" PATH=$PATH:{tools.path('kubectl').parent}"
    print(LOOK.format(export=export, namespace=NAMESPACE, name=name))


def show(story: Story) -> None:
    """The table that a person would look at."""
    print(f"\n$ kubectl get perennial -n {NAMESPACE}\n{story.table()}\n", flush=True)


LOOK = """Look around:
  {export}
  kubectl get perennial -n {namespace}
  kubectl describe retrainpolicy digits-fresh -n {namespace}     # why it retrained, and what came of it
  kubectl get modelversion digits-2 -n {namespace} -o yaml       # data, code, cause, champion, metrics
  kubectl logs -n {namespace} deployment/camera --tail 5         # what is asked and answered now
Tear it down:
  make cluster-down CLUSTER={name}"""

if __name__ == "__main__":
    sys.exit(main())
