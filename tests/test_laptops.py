"""The package of the stage `local` has wheels for this machine, those of other stages for Lambda."""

import pytest
from chalice.deploy.packager import DependencyBuilder
from chalice.utils import OSUtils

from infra.ops.local.chalice import wheels_for

WHEELS = [
    "msgspec-0.22.0-cp312-cp312-macosx_11_0_arm64.whl",
    "msgspec-0.22.0-cp312-cp312-macosx_10_13_x86_64.whl",
    "msgspec-0.22.0-cp312-cp312-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
]


def takes(wheel: str) -> bool:
    """Say whether Chalice would package a wheel."""
    return bool(DependencyBuilder(OSUtils())._is_compatible_wheel_filename("cp312", wheel))  # noqa: SLF001 - Chalice has no public API for it


@pytest.mark.parametrize("wheel", WHEELS)
def test_a_laptops_own_wheels_are_packaged_for_the_stage_local_only(wheel: str) -> None:
    with wheels_for("local"):
        assert takes(wheel)
    with wheels_for("dev"):
        assert not takes(wheel)


def test_a_wheel_for_another_python_is_never_packaged() -> None:
    with wheels_for("local"):
        assert not takes("x-1-cp313-cp313-macosx_11_0_arm64.whl")
