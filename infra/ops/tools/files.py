"""Atomic writes, for files that others may be reading, or that a kill must not leave half written."""

import tempfile
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file atomically; creates its folder if it is missing."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; creates its folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
        temporary.write(data)
    written = Path(temporary.name)
    written.chmod(0o644)
    written.replace(path)
