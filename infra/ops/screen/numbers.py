"""Numbers as an operator reads them."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s in the plural: 1 record, 1,203 records."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
