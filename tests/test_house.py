"""Rules of the code: which module may import which, and that only telemetry writes to the log."""

import ast
import sys
from pathlib import Path

import pytest

from infra.ops.local.cloud import ROOT

MODULES = sorted((ROOT / "chalicelib").glob("*.py"))
# The core, from the contract up. A module may import those before it.
LAYERS = [
    *[
        "records",
        "malformed",
        "masking",
        "reading",
        "decoding",
        "json_scanner",
        "json_lines",
        "json_batches",
        "rows",
        "rejections",
        "decoders",
        "sorting",
    ],
    "extraction",
]
# S3's events, and the modules that talk to S3, from the SDK up. A module may import those before it.
EDGE = ["events", "s3", "deadline", "source", "upload", "object_store"]
CORE = [path for path in MODULES if path.stem in LAYERS]
SHIPPED = [ROOT / "app.py", *MODULES]


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, at any place in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {f"{node.module}.{name.name}" for name in node.names if node.module == "chalicelib"}
    return found


def importers(package: str) -> set[str]:
    """Return the names of the shipped files that import a package."""
    return {path.name for path in SHIPPED if any(name.split(".")[0] == package for name in imports(path))}


def test_only_the_app_imports_chalice() -> None:
    assert importers("chalice") == {"app.py"}


def test_only_s3_imports_the_aws_sdk() -> None:
    sdk = ("boto3", "botocore", "mypy_boto3_s3", "s3transfer", "urllib3")

    assert set().union(*map(importers, sdk)) == {"s3.py"}


def test_only_telemetry_imports_powertools() -> None:
    assert importers("aws_lambda_powertools") == {"telemetry.py"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_nothing_that_ships_imports_infra_or_tests(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in {"infra", "tests", "app"}}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_imports_only_those_below_it(path: Path) -> None:
    ours = {name.removeprefix("chalicelib.") for name in imports(path) if name.startswith("chalicelib.")}
    everything = {module.stem for module in MODULES}
    allowed = {
        "log_events": {"malformed", "safe_names"},
        "telemetry": {"log_events", "safe_names"},
        "outcomes": {"log_events", "safe_names", "extraction", "malformed", "object_store"},
        "pipeline": everything - {"invocations", "queues", "replays"},
        "queues": {"events"},
        "replays": {"events", "extraction", "log_events", "safe_names", "telemetry"},
        "invocations": everything,
    }
    allowed |= {name: set(part[:layer]) for part in (LAYERS, EDGE) for layer, name in enumerate(part)}

    assert ours <= allowed.get(path.stem, set())


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_imports_neither_aws_nor_chalice(path: Path) -> None:
    known = {"chalicelib", "msgspec", *sys.stdlib_module_names}
    assert {module.split(".")[0] for module in imports(path)} <= known


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_only_telemetry_writes_to_the_log(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    printed = {call.id for call in calls if isinstance(call, ast.Name)} & {"print"}
    streams = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {
        "stdout",
        "stderr",
        "log",
    }

    assert not printed
    assert not streams
    allowed = {"logging"} if path.name == "telemetry.py" else set()
    assert imports(path) & {"logging", "warnings", "syslog"} <= allowed
