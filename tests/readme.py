"""The Markdown pages, and their fenced blocks, which readers paste or compare with what they see."""

import re
from typing import NamedTuple

from infra.ops.local.cloud import ROOT

README = ROOT / "README.md"
INFRA_PAGE = ROOT / "infra" / "README.md"
PAGES = (README, ROOT / "chalicelib" / "README.md", INFRA_PAGE, ROOT / "infra" / "OPERATE.md")
# The heading in INFRA_PAGE whose blocks are run, in order, in an account.
BY_HAND = "\n## By hand\n"


class Block(NamedTuple):
    """A fenced block: its language (empty for output) and its text."""

    language: str
    text: str

    @property
    def first(self) -> str:
        """Its first line, which identifies it."""
        return self.text.partition("\n")[0]


def manual_path() -> str:
    """Return the section of INFRA_PAGE that is run in an account."""
    return INFRA_PAGE.read_text().partition(BY_HAND)[2].partition("\n## ")[0]


def blocks_of(text: str) -> list[Block]:
    """Return all blocks of a text."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(*one) for one in found]


def blocks() -> list[Block]:
    """Return all blocks of the pages, without those of the manual path."""
    whole = "\n".join(page.read_text() for page in PAGES)
    return blocks_of(whole.replace(manual_path(), ""))


def block(first: str) -> Block:
    """Return the block with this first line."""
    return next(one for one in blocks() if one.first == first)


def is_shown(documented: str, printed: str) -> bool:
    """Say whether all lines of a block were printed, in this order. Times and column widths may differ."""
    lines = iter([_shape(line) for line in printed.splitlines()])
    return all(_shape(line) in lines for line in documented.splitlines() if line.strip(" …"))


def _shape(line: str) -> str:
    return re.sub(r"\d:\d\d:\d\d|\d+ *$|─+", "…", " ".join(line.split()))
