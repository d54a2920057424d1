"""Change chalicelib in one place at a time, and see whether a test fails: `make mutants`.

python -m tests.mutants [chalicelib/answer.py ...] tests these modules, or whatever has not been tested yet.

mutmut makes the mutants, and runs for each only the tests that reach the changed function. It works on a
copy in .local/mutation, where its results stay. One local cloud serves all tests; it runs the code as it is.
Modules of the core alone are tested without the cloud: the tests that need it take three times as long as all
others, and see little of the core.
"""

import os
import resource
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import LOCAL, ROOT, local_cloud
from tests.test_house import CORE

FOLDER = LOCAL / "mutation"
# What the tests need. mutmut copies it from here, so links do.
LINKED = (".chalice", "app.py", "chalicelib", "infra", "pyproject.toml", "samples", "tests")
MUTMUT = Path(sys.executable).with_name("mutmut")
# How the names of the tests begin that use the cloud.
CLOUD_TESTS = ("events", "object_store", "pipeline", "queues", "replays", "side_by_side")
MEMORY = 4 * 1024**3  # bytes: a mutant may never stop to collect


def main(modules: list[str]) -> int:
    """Test the mutants of these modules, of all if there are none; returns mutmut's exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        (FOLDER / name).unlink(missing_ok=True)
        (FOLDER / name).symlink_to(ROOT / name)
    mutants = [f"{module.removesuffix('.py').replace('/', '.')}.*" for module in modules]
    is_core = bool(modules) and {ROOT / module for module in modules} <= set(CORE)
    if is_core:
        os.environ["PYTEST_ADDOPTS"] = " ".join(f"--deselect=tests/test_{name}" for name in CLOUD_TESTS)
    with nullcontext() if is_core else local_cloud() as folder:
        if folder:
            local_stage.make_buckets()
            os.environ["LOCAL_API"] = local_stage.deploy(folder)
        # One after another: their tests share the cloud, and some measure time.
        return subprocess.call(
            [MUTMUT, "run", "--max-children", "1", *mutants], cwd=FOLDER, preexec_fn=_limit_memory
        )


def _limit_memory() -> None:
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
