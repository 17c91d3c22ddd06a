"""The image's cpu target without a container engine: its own lines, run where it would run them.

    sudo /usr/bin/python3 -m tests.deploy.replay

In namespaces of this process's own, scratch folders lie where the Dockerfile builds. The COPY and RUN
lines of the stages up to `installed-cpu` are run word for word, with this machine's Python in place of
the base image's. Then what they made is served as the image would be: the image's environment and
entry point, process 1 of its own process namespace, uid 10001, no capability, no new privilege, a
read-only file system but for /tmp, /spool and /models, and no network but the loopback. A recording is
posted, the health check run, and SIGTERM must end it with exit code 0. Linux, as root, with a Python that
has pip and that everybody may read: no more than the standard library is needed of it.
"""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.deploy.dockerfile import Stage, Target, read, script_of, target_of

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "src" / "asr_api" / "samples" / "jfk.flac"
WORDS = "ask not what your country can do for you"

BUILT = ("locked", "wheel", "installed-cpu")
FOLDERS = ("/opt/asr-api", "/locks", "/build", "/wheels", "/spool", "/models")
"""Where the Dockerfile builds and what it serves writes."""

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
"""From linux/sched.h."""

UID = 10001
SECONDS = 60


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(*command: str, env: Mapping[str, str] | None = None, cwd: str | None = None) -> None:
    """Run a command. Raises CalledProcessError where it fails."""
    subprocess.run(command, check=True, env=env, cwd=cwd)


def leave(what: int) -> None:
    """Give this process namespaces of its own. Raises OSError where it may not."""
    if ctypes.CDLL(None, use_errno=True).unshare(what):
        raise OSError(ctypes.get_errno(), "no namespaces here: run as root, or with sudo")


@contextlib.contextmanager
def laid_folders(scratch: Path) -> Iterator[None]:
    """Scratch folders where the Dockerfile builds, which only this process and its children see."""
    run("mount", "--make-rprivate", "/")
    made = [name for name in FOLDERS if not Path(name).exists()]
    for name in FOLDERS:
        place = scratch / name.strip("/")
        place.mkdir(parents=True)
        Path(name).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", str(place), name)
    try:
        yield
    finally:
        for name in FOLDERS:
            run("umount", name)
        for name in made:
            Path(name).rmdir()


def copy(rest: str, workdir: str) -> None:
    """A COPY from the build context."""
    *sources, target = rest.split()
    goal = Path(workdir, target)
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, goal, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, goal / source.rsplit("/", 1)[-1] if goal.is_dir() else goal)


def build(stage: Stage) -> None:
    """Run one stage's COPY and RUN lines word for word."""
    workdir = "/"
    python = f'python() {{ {sys.executable} "$@"; }}; '
    for each in stage.instructions:
        if each.word == "WORKDIR":
            workdir = each.rest
        elif each.word == "COPY":
            copy(each.rest, workdir)
        elif each.word == "RUN":
            say(f"{stage.name}: {script_of(each.rest)}")
            quiet = {"PIP_QUIET": "2", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
            run("sh", "-ec", python + script_of(each.rest), env=dict(os.environ) | quiet, cwd=workdir)


def close_up() -> None:
    """From here on only /tmp, /spool and /models can be written, and there is nobody to talk to but ourselves."""
    leave(CLONE_NEWNS | CLONE_NEWNET)
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    for name in ("/spool", "/models"):
        os.chown(name, UID, UID)
    run("mount", "-t", "tmpfs", "-o", "size=64m,mode=1777", "tmpfs", "/tmp")
    for name in ("/", "/opt/asr-api"):
        run("mount", "-o", "remount,bind,ro", name)


def confined(command: list[str]) -> list[str]:
    """A command as the container engine would start it, as process 1."""
    return [
        *("unshare", "--mount", "--pid", "--fork", "--mount-proc"),
        *("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"),
        *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
        *command,
    ]


@contextlib.contextmanager
def served(image: Target, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = image.environment
    environment["PATH"] = environment["PATH"].replace("$PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    process = subprocess.Popen(confined(command), env=environment, cwd=image.of("WORKDIR")[-1])
    try:
        yield process
    finally:
        if process.poll() is None:  # a change of uid takes back what --kill-child asked for
            os.kill(first_process(process), signal.SIGKILL)
        process.wait(SECONDS)


def first_process(of: subprocess.Popen[bytes]) -> int:
    """The number, seen from here, of process 1 in the namespace that `unshare` made."""
    return int(Path(f"/proc/{of.pid}/task/{of.pid}/children").read_text().split()[0])


def ask(url: str, body: bytes | None = None, content_type: str = "") -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": content_type} if body else {})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        read: bytes = answer.read()
        return read


def patiently(attempt: Callable[[], bytes], process: subprocess.Popen[bytes]) -> bytes:
    """The first answer that is no failure. Raises the last failure when the process or the time is over."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            return attempt()
        except OSError:
            if time.monotonic() > end or process.poll() is not None:
                raise
            time.sleep(0.2)


def post(url: str, file: Path) -> str:
    """The words of a recording."""
    boundary = "recording"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
    body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    return str(json.loads(ask(url, body, f"multipart/form-data; boundary={boundary}"))["text"])


def check(image: Target) -> None:
    """Serve, ask, and end. Raises AssertionError, or what failed, where the image would not do."""
    admin = f"http://127.0.0.1:{image.environment['ASR_ADMIN_PORT']}"
    command = json.loads(image.of("ENTRYPOINT")[-1]) + json.loads(image.of("CMD")[-1])
    with served(image, command) as process:
        began = time.monotonic()
        patiently(lambda: ask(f"{admin}/readyz"), process)
        say(f"ready after {time.monotonic() - began:.1f} s")
        text = post("http://127.0.0.1:8000/transcribe", SAMPLE)
        assert WORDS in text, text
        say(f"heard: {text}")
        run(*json.loads(image.of("HEALTHCHECK")[-1].split("CMD", 1)[1]))
        metrics = ask(f"{admin}/metrics").decode()
        assert re.search(r"^asr_decode_worker_restarts_total\{.*\} [^0]", metrics, re.MULTILINE) is None
        first = first_process(process)
        say(f"threads: {threads_under(first)}")
        os.kill(first, signal.SIGTERM)
        assert process.wait(SECONDS) == 0, process.returncode
        say("ended on SIGTERM as process 1, exit code 0")


def threads_under(pid: int) -> int:
    """The threads of a process and of all its children: what a limit of pids counts."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    return len(tasks) + sum(threads_under(int(c)) for task in tasks for c in (task / "children").read_text().split())


def main(arguments: list[str]) -> int:
    stages = read()
    if arguments:  # started by ourselves, below
        close_up()
        check(target_of(stages, "cpu"))
        return 0
    leave(CLONE_NEWNS)
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="asr-api-replay-") as folder, laid_folders(Path(folder)):
        Path(folder).chmod(0o755)
        began = time.monotonic()
        for name in BUILT:
            build(stages[name])
        say(f"built in {time.monotonic() - began:.0f} s")
        return subprocess.run([sys.executable, "-u", "-m", "tests.deploy.replay", "check"], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
