"""Chalice's package for each processor architecture has libraries of that architecture only."""

import struct
import sys
from pathlib import Path

import pytest
from chalice.deploy.packager import DependencyBuilder
from chalice.utils import OSUtils

from infra.ops.local.cloud import ROOT

# ELF machine numbers: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINES = {"x86_64": 62, "arm64": 183}


def machine(library: Path) -> int:
    """Read the ELF machine number of a library."""
    number: int = struct.unpack_from("<H", library.read_bytes(), 18)[0]
    return number


@pytest.mark.parametrize("architecture", MACHINES)
def test_a_package_has_only_libraries_of_its_architecture(architecture: str, tmp_path: Path) -> None:
    abi = f"cp{sys.version_info.major}{sys.version_info.minor}"
    builder = DependencyBuilder(OSUtils(), architecture=architecture)

    builder.build_site_packages(abi, str(ROOT / "requirements.txt"), str(tmp_path))

    libraries = list(tmp_path.rglob("*.so"))
    assert [one.name for one in libraries if one.is_relative_to(tmp_path / "msgspec")]
    assert {machine(one) for one in libraries} == {MACHINES[architecture]}
