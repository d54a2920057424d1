"""The local cloud: MiniStack under AWS's stricter rules, in a process of its own, gone without a trace."""

import ctypes
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.ops.errors import OperatorError

ROOT = Path(__file__).parents[3]
LOCAL = ROOT / ".local"
PYTHON = LOCAL / "cloud-venv" / "bin" / "python"
REGION = "us-east-1"
STARTS_WITHIN = 60  # seconds
STOPS_WITHIN = 15  # seconds
ANSWERS_WITHIN = 60  # seconds, while it is busy with what others ask; one that is gone refuses at once
# Not by PYTHONPATH, which the functions that it runs would inherit, nor from here as the working folder.
START = "import runpy, sys; sys.path.append(sys.argv.pop()); runpy.run_module('infra.ops.local.strict')"


class LocalCloudError(OperatorError):
    """There is no local cloud; says what to do."""


@contextmanager
def local_cloud(*, tls: bool = False) -> Iterator[Path]:
    """Run a local cloud, and point every AWS client made meanwhile, here or in a child process, at it.

    It enforces IAM for users and roles, listens on a free port of the loopback interface
    (AWS_ENDPOINT_URL) and writes to one folder only, which is yielded, and removed at the end.
    """
    LOCAL.mkdir(exist_ok=True)
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=LOCAL))
    endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{_free_port()}"
    try:
        with _process(folder, endpoint) as process, _clients_at(endpoint, folder):
            _await_start(process, folder / "log")
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    # What a process that was killed has left: its id is in the name.
    for folder in LOCAL.glob("run-*-*"):
        if not _is_alive(int(folder.name.split("-")[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _process(folder: Path, endpoint: str) -> Iterator[subprocess.Popen[bytes]]:
    if not PYTHON.exists():
        raise LocalCloudError("The local cloud is not installed: run `make .venv/ready`.")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-P", "-c", START, ROOT],
            cwd=folder,
            env=_server_environment(folder, endpoint),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: we stop it when we are done with it
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no other thread runs here
        )
    try:
        yield process
    finally:
        _stop(process)


def _server_environment(folder: Path, endpoint: str) -> dict[str, str]:
    # Complete, not added to ours: whatever is set for the server reaches the functions that it runs.
    return {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": endpoint.rpartition(":")[2],
        "HOME": str(folder),
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.2",
        "PATH": os.defpath,
        "S3_DATA_DIR": str(folder / "s3"),
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(folder),
        "USE_SSL": str(int(endpoint.startswith("https:"))),
    }


def _die_with_parent() -> None:
    # Should this process be killed outright, Linux stops the server in its place.
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOPS_WITHIN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the functions that it ran, should any be left
    process.wait()


@contextmanager
def _clients_at(endpoint: str, folder: Path) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ |= client_environment(endpoint) | {"AWS_CONFIG_FILE": os.devnull}
    if endpoint.startswith("https:"):
        os.environ["AWS_CA_BUNDLE"] = str(folder / "ministack-tls" / "server.crt")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def client_environment(endpoint: str) -> dict[str, str]:
    """Name what an AWS client needs to know of the local cloud."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
    }


def _await_start(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while not runs_at(os.environ["AWS_ENDPOINT_URL"]):
        if process.poll() is not None or time.monotonic() > deadline:
            raise LocalCloudError(
                f"The local cloud did not start. Its last words:\n{log.read_text()[-2000:]}"
            )
        time.sleep(0.05)


def runs_at(endpoint: str) -> bool:
    """Say whether a local cloud runs at an endpoint."""
    if not re.fullmatch(r"https?://127\.0\.0\.1:\d+/?", endpoint):
        return False
    try:
        with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=ANSWERS_WITHIN, context=trust()):
            return True
    except OSError:
        return False


def process_url(api: str | None) -> str:
    """Say where the local cloud serves `POST /process` of a REST API: Chalice prints AWS's address."""
    return f"{os.environ['AWS_ENDPOINT_URL']}/restapis/{api}/api/_user_request_/process"


def trust() -> ssl.SSLContext:
    """Trust whom the AWS clients trust."""
    return ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
