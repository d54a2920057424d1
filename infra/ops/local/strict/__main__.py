"""Start the strict cloud. Runs in MiniStack's virtual environment, not in the project's (see `cloud.py`)."""

from ministack.app import main

from infra.ops.local.strict import iam_rules, lambda_rules, s3_rules  # noqa: F401 - importing a rule installs it

main()
