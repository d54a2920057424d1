"""Where Terraform gets the AWS provider from, so that it also works on a machine without the network."""

from collections.abc import Iterator, Mapping
from pathlib import Path

PROVIDER = Path("registry.terraform.io", "hashicorp", "aws")
# Where machines without the network are often given their tools.
OPT = Path("/opt")


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
