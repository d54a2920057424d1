"""An evaluator of GitHub's workflow expressions: `a == 'b' && c || d`, without parentheses."""

import re
from collections.abc import Mapping


def evaluated(text: str, known: Mapping[str, str]) -> str:
    """Replace the expressions in a text. An unknown name is empty, as on GitHub."""
    return re.sub(r"\$\{\{ (.+?) }}", lambda found: _any(found[1], known), text)


def _any(words: str, known: Mapping[str, str]) -> str:
    return next(filter(None, (_all(part, known) for part in words.split(" || "))), "")


def _all(words: str, known: Mapping[str, str]) -> str:
    terms = [_term(part, known) for part in words.split(" && ")]
    return terms[-1] if all(terms) else ""


def _term(words: str, known: Mapping[str, str]) -> str:
    left, equals, right = words.partition(" == ")
    if equals:
        return "true" if _term(left, known) == _term(right, known) else ""
    return words.strip("'") if words.startswith("'") else known.get(words, "")
