"""The pages, as their readers take them: in blocks, to be pasted or compared with what they see."""

import re
from pathlib import Path
from typing import NamedTuple

from infra.ops.local.cloud import ROOT

README = ROOT / "README.md"
BY_HAND = ROOT / "infra" / "README.md"


class Block(NamedTuple):
    """A fenced block: its language, empty for what is printed, and its text."""

    language: str
    text: str

    @property
    def first(self) -> str:
        """Its first line, which names it."""
        return self.text.partition("\n")[0]


def blocks(page: Path = README) -> list[Block]:
    """Read all of them."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(*one) for one in found]


def block(first: str) -> Block:
    """Read one, by its first line."""
    return next(one for one in blocks() if one.first == first)


def is_shown(documented: str, printed: str) -> bool:
    """Say whether the lines of a block were printed in this order, but for times and gaps between columns."""
    lines = iter([_shape(line) for line in printed.splitlines()])
    return all(_shape(line) in lines for line in documented.splitlines() if line.strip(" …"))


def _shape(line: str) -> str:
    return re.sub(r"\d:\d\d:\d\d|\d+ *$", "…", " ".join(line.split()))
