import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PYTHON = (sys.executable, "-S", "-c")  # without site packages: starts at once


def end(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=10)
    return process.returncode


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -KILL $$", 128 + signal.SIGKILL),
        ("kill -SEGV $$", 128 + signal.SIGSEGV),
        ("(exit 4) & wait $!", 4),
    ],
)
def test_the_exit_code_is_the_childs(pod: Any, script: str, code: int) -> None:
    assert end(pod.train("sh", "-c", script)) == code
    assert pod.kept("exit") == f"{code}\n"
    assert pod.kept("started") == ""
    assert not (pod.layout.run / "interrupted").exists()
    assert not (pod.layout.run / "unfinished").exists()


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["no-such-program"], 127, 'cannot start the command "no-such-program": No such file or directory'),
        (["/nowhere/train.py"], 127, 'cannot start the command "/nowhere/train.py": No such file or directory'),
        (["{tmp}/plain"], 126, "Permission denied"),
        (["{tmp}"], 126, "Permission denied"),
        (["{tmp}/strange"], 127, "the interpreter named in its first line, or its loader, is not in the image"),
    ],
)
def test_a_command_that_cannot_be_started(pod: Any, tmp_path: Path, command: list[str], code: int, words: str) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "strange").write_text("#!/nowhere/python3\n")
    (tmp_path / "strange").chmod(0o755)
    log = tmp_path / "message"
    log.touch()
    process = pod.train(*(part.format(tmp=tmp_path) for part in command), PERENNIAL_TERMINATION_LOG=str(log))
    output = process.communicate(timeout=10)[0].decode()
    assert process.returncode == code
    assert words in output
    assert log.read_text() == output
    assert pod.kept("exit") == f"{code}\n"


def test_without_the_shared_volume_it_says_so(pod: Any, tmp_path: Path) -> None:
    process = pod.train("true", PERENNIAL_ROOT=str(tmp_path / "elsewhere"))
    assert b"cannot open" in process.communicate(timeout=10)[0]
    assert process.returncode == 125


def test_without_a_command_it_says_how_it_is_used(pod: Any) -> None:
    process = pod.start(str(pod.layout.launch), "--")
    assert b"usage" in process.communicate(timeout=10)[0]
    assert process.returncode == 125


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
@pytest.mark.parametrize("returned", [0, 7])
def test_told_to_stop_it_ends_as_interrupted_whatever_the_child_returns(
    pod: Any, until: Callable[..., None], number: signal.Signals, returned: int
) -> None:
    train = pod.train(
        "sh",
        "-c",
        f"trap 'exit {returned}' TERM INT QUIT HUP; touch $PERENNIAL_OUTPUT_DIR/up; while :; do sleep 0.02; done",
    )
    until((pod.layout.output / "up").exists)
    train.send_signal(number)
    assert end(train) == 143
    assert pod.kept("exit") == "143\n"
    assert pod.kept("interrupted") == ""


def test_the_child_can_be_told_to_stop_though_the_launcher_was_born_ignoring_that(
    pod: Any, until: Callable[..., None]
) -> None:
    """As from nohup, or in the background of a shell; a shell cannot trap what it was born ignoring."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        train = pod.train(
            "sh", "-c", "trap 'exit 0' INT HUP; touch $PERENNIAL_OUTPUT_DIR/up; while :; do sleep 0.02; done"
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    until((pod.layout.output / "up").exists)
    train.send_signal(signal.SIGINT)
    assert end(train) == 143


def test_it_waits_for_a_child_that_takes_its_time_to_stop(pod: Any, until: Callable[..., None]) -> None:
    script = """
import os, pathlib, signal, time
out = pathlib.Path(os.environ["PERENNIAL_OUTPUT_DIR"])
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
(out / "up").touch()
while len(asked) < 3:
    time.sleep(0.01)
(out / "checkpoint").write_text("whole")
"""
    train = pod.train(*PYTHON, script)
    until((pod.layout.output / "up").exists)
    for _ in range(2):
        train.send_signal(signal.SIGTERM)
        until((pod.layout.run / "interrupted").exists)
        with pytest.raises(subprocess.TimeoutExpired):
            train.wait(0.15)
    assert not (pod.layout.run / "exit").exists()
    train.send_signal(signal.SIGTERM)
    assert end(train) == 143
    assert (pod.layout.output / "checkpoint").read_text() == "whole"


def test_a_program_that_a_shell_left_behind_may_still_save(pod: Any, until: Callable[..., None]) -> None:
    """`sh -c "python train.py; ..."`: the shell dies of the signal at once."""
    script = """
import os, pathlib, signal, time
out = pathlib.Path(os.environ["PERENNIAL_OUTPUT_DIR"])
def save(*_):
    time.sleep(0.3)
    (out / "checkpoint").write_text("whole")
    raise SystemExit
signal.signal(signal.SIGTERM, save)
(out / "up").touch()
time.sleep(20)
"""
    train = pod.train("sh", "-c", f"{sys.executable} -S -c '{script}'; echo done")
    until((pod.layout.output / "up").exists)
    train.send_signal(signal.SIGTERM)
    assert train.wait(10) == 143
    assert (pod.layout.output / "checkpoint").read_text() == "whole"


def test_other_signals_are_handed_on_and_interrupt_nothing(pod: Any, until: Callable[..., None]) -> None:
    train = pod.train("sh", "-c", "trap 'exit 5' USR1; touch $PERENNIAL_OUTPUT_DIR/up; while :; do sleep 0.02; done")
    until((pod.layout.output / "up").exists)
    train.send_signal(signal.SIGUSR1)
    assert end(train) == 5
    assert not (pod.layout.run / "interrupted").exists()


def test_the_child_gets_the_usual_signals(pod: Any) -> None:
    train = pod.train("sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status")
    blocked, ignored = (line.split()[1] for line in train.communicate(timeout=10)[0].decode().splitlines())
    assert int(blocked, 16) == 0
    assert not int(ignored, 16) & (1 << (signal.SIGTERM - 1) | 1 << (signal.SIGCHLD - 1))


def test_a_daemon_left_behind_holds_nothing_up(pod: Any, until: Callable[..., None]) -> None:
    script = """
import os, pathlib, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path(os.environ["PERENNIAL_OUTPUT_DIR"], "daemon").write_text(str(os.getpid()))
        os.close(1), os.close(2)
        time.sleep(30)
    os._exit(0)
os.wait()
"""
    fifo = os.open(pod.layout.fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert end(pod.train(*PYTHON, script)) == 0
        daemon = pod.layout.output / "daemon"
        until(lambda: daemon.exists() and daemon.read_text() != "")
        alive = Path("/proc", daemon.read_text(), "fd")
        assert alive.exists()
        assert os.read(fifo, 1) == b""
        os.kill(int(daemon.read_text()), signal.SIGKILL)
    finally:
        os.close(fifo)


def test_orphans_are_adopted_and_reaped(pod: Any) -> None:
    script = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.3)
        os._exit(0)
    os.wait()
children = lambda: len(open("/proc/{0}/task/{0}/children".format(os.getppid())).read().split())
print(children(), flush=True)
end = time.monotonic() + 5
while children() > 1 and time.monotonic() < end:
    time.sleep(0.02)
print(children())
"""
    assert pod.train(*PYTHON, script).communicate(timeout=10)[0] == b"6\n1\n"


def test_the_output_becomes_readable_for_others(pod: Any, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere"
    secret.write_text("not ours")
    secret.chmod(0o600)
    script = f"""
cd "$PERENNIAL_OUTPUT_DIR"
mkdir -p a/b; echo x > a/b/model; echo '#!/bin/sh' > a/run; chmod 700 a/run
ln -s {secret} link; echo '{{}}' > "$PERENNIAL_METRICS_FILE"
"""
    assert end(pod.train("sh", "-c", script, umask=0o077)) == 0

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.lstat().st_mode)

    out = pod.layout.output
    assert [mode(out / name) for name in ("a", "a/b", "a/b/model", "a/run")] == [0o755, 0o755, 0o644, 0o755]
    assert mode(pod.layout.metrics) == 0o644
    assert mode(pod.layout.run / "exit") == 0o644
    assert mode(secret) == 0o600


def test_arguments_reach_the_command_untouched(pod: Any) -> None:
    train = pod.train("printf", "%s|", "--", "a b", "", "*", "$HOME")
    assert train.communicate(timeout=10)[0] == b"--|a b||*|$HOME|"
