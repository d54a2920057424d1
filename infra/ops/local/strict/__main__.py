"""Start the strict cloud. MiniStack's environment runs this, not the project's: see `cloud.py`."""

from ministack.app import main

from infra.ops.local.strict import rules  # noqa: F401 - importing them puts them before MiniStack

main()
