"""The pages, as their readers take them: in blocks, to be pasted or compared with what they see."""

import re
from typing import NamedTuple

from infra.ops.local.cloud import ROOT

README = ROOT / "README.md"
INFRA_PAGE = ROOT / "infra" / "README.md"
PAGES = (README, ROOT / "chalicelib" / "README.md", INFRA_PAGE, ROOT / "infra" / "OPERATE.md")
# The heading of INFRA_PAGE under which stands what is run in an account, in order.
BY_HAND = "\n## By hand\n"


class Block(NamedTuple):
    """A fenced block: its language, empty for what is printed, and its text."""

    language: str
    text: str

    @property
    def first(self) -> str:
        """Its first line, which names it."""
        return self.text.partition("\n")[0]


def manual_path() -> str:
    """Read the part of INFRA_PAGE that is run in an account."""
    return INFRA_PAGE.read_text().partition(BY_HAND)[2].partition("\n## ")[0]


def blocks_of(text: str) -> list[Block]:
    """Read all blocks of a text."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(*one) for one in found]


def blocks() -> list[Block]:
    """Read all blocks of the pages, but for those of the path by hand."""
    whole = "\n".join(page.read_text() for page in PAGES)
    return blocks_of(whole.replace(manual_path(), ""))


def block(first: str) -> Block:
    """Read one, by its first line."""
    return next(one for one in blocks() if one.first == first)


def is_shown(documented: str, printed: str) -> bool:
    """Say whether the lines of a block were printed in this order, but for times and widths of columns."""
    lines = iter([_shape(line) for line in printed.splitlines()])
    return all(_shape(line) in lines for line in documented.splitlines() if line.strip(" …"))


def _shape(line: str) -> str:
    return re.sub(r"\d:\d\d:\d\d|\d+ *$|─+", "…", " ".join(line.split()))
