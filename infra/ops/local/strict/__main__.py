"""Start the strict cloud; MiniStack's environment runs this, not the project's (see `cloud.py`)."""

from ministack.app import main

from infra.ops.local.strict import iam_rules, lambda_rules, s3_rules  # noqa: F401 - they place themselves

main()
