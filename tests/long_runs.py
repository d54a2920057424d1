"""The command line of programs that run for a given time."""

import argparse


def run_options(description: str | None) -> argparse.Namespace:
    """Parse `seconds` and `seed` from the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()
