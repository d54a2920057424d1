"""The base class of errors that an operator can act on."""


class OperatorError(Exception):
    """An error that the operator can fix: its message says what is wrong, and what to do.

    The command line prints the message alone. Any other exception is a bug, and shows its traceback.
    """
