"""The local cloud: MiniStack with additional rules of AWS, in its own process. It leaves nothing behind."""

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
ANSWERS_WITHIN = 60  # seconds; a busy cloud answers late, a stopped one refuses the connection at once
# The functions would inherit PYTHONPATH and the working folder, so the module path is an argument.
START = "import runpy, sys; sys.path.append(sys.argv.pop()); runpy.run_module('infra.ops.local.strict')"


class LocalCloudError(OperatorError):
    """There is no local cloud; says what to do."""


@contextmanager
def local_cloud(*, tls: bool = False) -> Iterator[Path]:
    """Run a local cloud, and point the AWS clients of this process and its children at it.

    It enforces IAM for users and roles, and listens on a free port of the loopback interface
    (AWS_ENDPOINT_URL). It writes to one folder only, which is yielded, and removed at the end.
    """
    LOCAL.mkdir(exist_ok=True)
    _remove_stale_folders()
    folder = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=LOCAL))
    endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{_free_port()}"
    try:
        with _process(folder, endpoint) as process, _clients_at(endpoint, folder):
            _await_start(process, folder / "log")
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_stale_folders() -> None:
    # A killed process leaves its folder behind. The name contains the process id.
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
            start_new_session=True,  # Ctrl-C stops this process, which then stops the server
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no other thread runs here
        )
    try:
        yield process
    finally:
        _stop(process)


def _server_environment(folder: Path, endpoint: str) -> dict[str, str]:
    # Nothing of our environment: the functions inherit the server's.
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
    # If this process is killed, Linux stops the server.
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOPS_WITHIN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # functions that still run
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
    """Return the environment variables that point an AWS client at a local cloud."""
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
                f"The local cloud did not start. The end of its log:\n{log.read_text()[-2000:]}"
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
    """Return the local cloud's URL of `POST /process`. Chalice prints AWS's URL instead."""
    return f"{os.environ['AWS_ENDPOINT_URL']}/restapis/{api}/api/_user_request_/process"


def trust() -> ssl.SSLContext:
    """Make a TLS context with the CA bundle of the AWS clients."""
    return ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
