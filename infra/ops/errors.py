"""What the operator is told in a line or two; any other exception is a bug, and shows its traceback."""


class OperatorError(Exception):
    """Something that the operator can mend; its words say what, and how."""
