"""`make audit`: check the policies that tests/rendering.py prints, with parliament in its own environment."""

import json
import re
import sys
from collections.abc import Iterator

from parliament import analyze_policy_string

# False positives: an issue, and the addresses at which it is ignored.
MUTED = {
    # EC2 requires Lambda's calls to be allowed on every network interface. A denial blocks the code's calls.
    ("RESOURCE_STAR", r"module\.(api|data_processor)\.aws_iam_role_policy\.enters_the_vpc\[0\]"),
    # So the boundary has to allow them, too.
    ("RESOURCE_STAR", r"aws_iam_policy\.this"),
    # Parliament only knows executions of express workflows.
    ("RESOURCE_MISMATCH", r"aws_iam_role_policy\.replays"),
    ("RESOURCE_MISMATCH", r"aws_iam_policy\.this"),
    # The boundary's ARN is compared as a string, because an ARN operator would accept wildcards.
    ("MISMATCHED_TYPE_BUT_USABLE", r"aws_iam_role_policy\.deploys_the_foundation"),
    # Whoever writes a bucket's policy and lifecycle could grant access, or make S3 delete: SECURITY.md.
    ("RESOURCE_POLICY_PRIVILEGE_ESCALATION", r"aws_iam_role_policy\.deploys_the_foundation"),
    # Parliament knows SAML providers only, and no claims of OIDC tokens.
    ("UNKNOWN_FEDERATION_SOURCE", r"aws_iam_role\.this, trust"),
    ("UNKNOWN_CONDITION_FOR_ACTION", r"aws_iam_role\.this, trust"),
}


def findings(policies: dict[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield issue, address and detail of each finding."""
    for address, policy in policies.items():
        for finding in analyze_policy_string(json.dumps(policy)).findings:
            yield finding.issue, address, str(finding.detail or finding.location)


def muting(issue: str, address: str) -> set[tuple[str, str]]:
    """Return the mutes that match a finding."""
    return {mute for mute in MUTED if mute[0] == issue and re.fullmatch(mute[1], address)}


def main() -> None:
    """Print findings that are not muted, and mutes without a finding; fail if there is any."""
    policies = json.load(sys.stdin)
    found = [(*finding, muting(*finding[:2])) for finding in findings(policies)]
    reported = [f"{issue} at {address}: {detail}" for issue, address, detail, mutes in found if not mutes]
    unused = MUTED.difference(*(mutes for *_, mutes in found))
    reported += [f"Nothing at {address} is {issue} any more: remove the mute" for issue, address in unused]
    for line in [*reported, f"{len(policies)} policies, {len(reported)} findings"]:
        print(line)  # noqa: T201 - it is a program
    sys.exit(bool(reported))


if __name__ == "__main__":
    main()
