"""Terraform: its roots, and where it gets the AWS provider from on a machine without the network."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.ops.local.cloud import LOCAL, ROOT
from infra.ops.tools.run import run

PROVIDER = Path("registry.terraform.io", "hashicorp", "aws")
# Somebody else may be deploying, or what is left of a deployment that was killed.
LOCK = "-lock-timeout=5m"
# How an apply ends.
CHANGES = re.compile(r"Resources: (\d+ added, \d+ changed, \d+ destroyed)")
# What a plan says while it looks at what is there.
READING = re.compile(r": (Refreshing state|Reading|Read complete)")
# Where machines without the network are often given their tools.
OPT = Path("/opt")


class Root:
    """A directory of Terraform files, applied for one stage; every method raises ToolError.

    Its state is where `init` is told to connect to, or else in the file `state`.
    `changes` says how many resources the last apply has added, changed and destroyed.
    """

    def __init__(self, directory: str, stage: str, state: Path | None = None) -> None:
        self._directory = ROOT / directory
        self._state = [f"-state={state}"] if state else []
        self.changes = ""
        # What a root remembers of its backend is of one stage.
        self._data = LOCAL / "terraform" / stage / directory

    def init(self, *options: str) -> None:
        """Fetch the provider and connect to the state."""
        self._terraform("init", "-lockfile=readonly", "-reconfigure", *init_options(os.environ), *options)

    def apply(self, *options: str) -> dict[str, Any]:
        """Make what the files describe; returns the outputs."""
        said = self._terraform("apply", "-auto-approve", LOCK, *self._state, *options)
        self.changes = "".join(CHANGES.findall(said))
        return self.outputs()

    def plan(self, *options: str) -> str:
        """Say what `apply` would do; changes nothing, and waits for nobody."""
        said = self._terraform("plan", "-lock=false", *options)
        return "\n".join(line for line in said.splitlines() if not READING.search(line)).strip()

    def destroy(self, *options: str) -> None:
        """Remove what the state knows of."""
        self._terraform("destroy", "-auto-approve", LOCK, *self._state, *options)

    def outputs(self) -> dict[str, Any]:
        """Read the outputs of the last apply; empty if there was none."""
        outputs = json.loads(self._terraform("output", "-json", *self._state, inputs=False))
        return {name: output["value"] for name, output in outputs.items()}

    def forget(self, address: str) -> None:
        """Have the state know no more of a resource, which stays as it is."""
        if address in self._terraform("state list", inputs=False).splitlines():
            self._terraform("state rm", LOCK, address, inputs=False)

    def is_empty(self) -> bool:
        """Say whether the state knows of nothing."""
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
    """Options with which `terraform init` finds the provider here; none where only the registry has it."""
    directory = plugin_directory(environ)
    return [f"-plugin-dir={directory}"] if directory else []


def plugin_directory(environ: Mapping[str, str]) -> Path | None:
    """Find a local mirror with the provider: the one that TF_PLUGIN_DIR names, else the first with it.

    Looked at are the directories that Terraform documents as implied local mirrors
    (https://developer.hashicorp.com/terraform/cli/config/config-file), then those directly below one of /opt.
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
