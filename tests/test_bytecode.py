"""Compiled requirements in the package: complete, and without paths of this machine."""

import marshal
from pathlib import Path

import msgspec
import pytest

from infra.ops.local.cloud import LOCAL, ROOT
from infra.ops.tools.bytecode import add_bytecode


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a" / "b" / "c" / "project"
    folder.mkdir(parents=True)
    add_bytecode(folder)
    return folder


def test_all_bytecode_is_in_the_vendor_folder(project: Path, tmp_path: Path) -> None:
    compiled = list(tmp_path.rglob("*.pyc"))

    assert len(compiled) > 100
    assert all(path.is_relative_to(project / "vendor") for path in compiled)
    assert {path.parents[1].relative_to(project / "vendor").parts[:1] for path in compiled} >= {
        ("msgspec",),
        ("aws_lambda_powertools",),
        ("jmespath",),
        (),
    }


def test_bytecode_contains_no_path_of_this_machine(project: Path) -> None:
    (path,) = (project / "vendor" / "msgspec" / "__pycache__").glob("__init__.*.pyc")

    code = marshal.loads(path.read_bytes()[16:])  # noqa: S302 - our own file

    assert code.co_filename == "msgspec/__init__.py"
    assert str(ROOT).encode() not in path.read_bytes()
    assert str(LOCAL).encode() not in path.read_bytes()
    assert msgspec.__file__.endswith(code.co_filename)
