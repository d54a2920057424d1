"""Terraform: run its commands on a root, and find the AWS provider on a machine without network."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.ops.local.cloud import LOCAL, ROOT
from infra.ops.tools.run import run

PROVIDER = Path("registry.terraform.io", "hashicorp", "aws")
# Another deployment may hold the lock, or one that was killed a moment ago.
LOCK = "-lock-timeout=5m"
# The last line of `apply`.
CHANGES = re.compile(r"Resources: (\d+ added, \d+ changed, \d+ destroyed)")
# Lines of `plan` about its progress.
READING = re.compile(r": (Refreshing state|Reading|Read complete)")
# Machines without network often have their tools below this folder.
OPT = Path("/opt")


class Root:
    """A directory of Terraform files, applied for one stage; every method raises ToolError.

    The state is in the backend that `init` configures, or in the file `state`.
    `changes` says how many resources the last apply added, changed and destroyed.
    """

    def __init__(self, directory: str, stage: str, state: Path | None = None) -> None:
        self._directory = ROOT / directory
        self._state = [f"-state={state}"] if state else []
        self.changes = ""
        # One data directory for each stage: it remembers the backend.
        self._data = LOCAL / "terraform" / stage / directory

    def init(self, *options: str) -> None:
        """Install the provider and configure the backend."""
        self._terraform("init", "-lockfile=readonly", "-reconfigure", *init_options(os.environ), *options)

    def apply(self, *options: str) -> dict[str, Any]:
        """Create or update what the files describe; returns the outputs."""
        output = self._terraform("apply", "-auto-approve", LOCK, *self._state, *options)
        self.changes = "".join(CHANGES.findall(output))
        return self.outputs()

    def plan(self, *options: str) -> str:
        """Return what `apply` would do, as text. Changes nothing, and does not wait for the lock."""
        output = self._terraform("plan", "-lock=false", *options)
        return "\n".join(line for line in output.splitlines() if not READING.search(line)).strip()

    def destroy(self, *options: str) -> None:
        """Remove all resources in the state."""
        self._terraform("destroy", "-auto-approve", LOCK, *self._state, *options)

    def outputs(self) -> dict[str, Any]:
        """Read the outputs of the last apply; empty if there was none."""
        outputs = json.loads(self._terraform("output", "-json", *self._state, inputs=False))
        return {name: output["value"] for name, output in outputs.items()}

    def remove_from_state(self, address: str) -> None:
        """Remove a resource from the state; the resource itself stays."""
        if address in self._terraform("state list", inputs=False).splitlines():
            self._terraform("state rm", LOCK, address, inputs=False)

    def is_empty(self) -> bool:
        """Say whether there are no resources in the state."""
        state = json.loads(self._terraform("show", "-json", inputs=False))
        module = state.get("values", {}).get("root_module", {})
        return not (module.get("resources") or module.get("child_modules"))

    def _terraform(self, verb: str, *options: str, inputs: bool = True) -> str:
        silent = ["-input=false"] if inputs else []
        env = {
            **os.environ,
            "TF_DATA_DIR": str(self._data),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        command = ["terraform", f"-chdir={self._directory}", *verb.split(), "-no-color", *silent, *options]
        return run(command, env=env)


def init_options(environ: Mapping[str, str]) -> list[str]:
    """Return the options with which `terraform init` uses a local mirror; none if there is none."""
    directory = plugin_directory(environ)
    return [f"-plugin-dir={directory}"] if directory else []


def plugin_directory(environ: Mapping[str, str]) -> Path | None:
    """Find a local mirror with the provider: the one that TF_PLUGIN_DIR names, else the first that has it.

    It tries the directories that Terraform documents as implied local mirrors
    (https://developer.hashicorp.com/terraform/cli/config/config-file), then those directly below /opt.
    """
    if named := environ.get("TF_PLUGIN_DIR"):
        return Path(named)
    mirrors = [*_implied(environ), *sorted(OPT.glob("*"))]
    return next((mirror for mirror in mirrors if (mirror / PROVIDER).is_dir()), None)


def _implied(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME", "/"))
    shared = environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    yield Path.cwd() / "terraform.d" / "plugins"
    yield home / ".terraform.d" / "plugins"
    yield Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "terraform" / "plugins"
    for directory in shared.split(":"):
        yield Path(directory) / "terraform" / "plugins"
    for library in (home / "Library", Path("/Library")):  # macOS
        yield library / "Application Support" / "io.terraform" / "plugins"
