"""Bytecode for the package: Lambda cannot store any, and would compile the sources at every cold start."""

import sys
from importlib import metadata
from pathlib import Path
from py_compile import PycInvalidationMode
from py_compile import compile as compile_module

from infra.ops.local.cloud import ROOT

# Chalice adds this folder to the package, beside the requirements and the application.
VENDOR = "vendor"


def add_bytecode(project: Path) -> None:
    """Compile the requirements into `project`'s vendor folder, which Chalice adds to the package.

    Each file contains a digest of its source, so Python ignores bytecode of another version.
    """
    for name in _requirements():
        for file in metadata.distribution(name).files or []:
            if file.suffix == ".py" and ".." not in file.parts:  # a command, which is not in the package
                folder = project / VENDOR / file.parent / "__pycache__"
                compile_module(
                    str(file.locate()),
                    cfile=str(folder / f"{file.stem}.{sys.implementation.cache_tag}.pyc"),
                    dfile=str(file),
                    doraise=True,
                    invalidation_mode=PycInvalidationMode.CHECKED_HASH,
                )


def _requirements() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line]
