"""`make audit`: what parliament, in the environment of its own, finds in what tests/rendering.py prints."""

import json
import re
import sys
from collections.abc import Iterator

from parliament import analyze_policy_string

# Issue, and the addresses at which it is none.
MUTED = {
    # EC2 wants Lambda's calls allowed on every network interface; a denial stops the function's code.
    ("RESOURCE_STAR", r"module\.(api|data_processor)\.aws_iam_role_policy\.enters_the_vpc\[0\]"),
    # So their boundary has to allow them, too.
    ("RESOURCE_STAR", r"aws_iam_policy\.this"),
    # Parliament knows executions of express workflows only.
    ("RESOURCE_MISMATCH", r"aws_iam_role_policy\.replays"),
    ("RESOURCE_MISMATCH", r"aws_iam_policy\.this"),
    # The ARN of the boundary is compared as text: an operator for ARNs would take wildcards.
    ("MISMATCHED_TYPE_BUT_USABLE", r"aws_iam_role_policy\.deploys_the_foundation"),
    # Who makes a bucket's policy and lifecycle could let himself in, or have S3 delete: SECURITY.md.
    ("RESOURCE_POLICY_PRIVILEGE_ESCALATION", r"aws_iam_role_policy\.deploys_the_foundation"),
    # Parliament knows providers of SAML by their ARN and none of OIDC, nor what their tokens say.
    ("UNKNOWN_FEDERATION_SOURCE", r"aws_iam_role\.this, trust"),
    ("UNKNOWN_CONDITION_FOR_ACTION", r"aws_iam_role\.this, trust"),
}


def findings(policies: dict[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield issue, address and what is the matter."""
    for address, policy in policies.items():
        for finding in analyze_policy_string(json.dumps(policy)).findings:
            yield finding.issue, address, str(finding.detail or finding.location)


def muting(issue: str, address: str) -> set[tuple[str, str]]:
    """Say which mutes are about a finding."""
    return {mute for mute in MUTED if mute[0] == issue and re.fullmatch(mute[1], address)}


def main() -> None:
    """Print what is found and not muted, and mutes that nothing needs; fail if there is any."""
    policies = json.load(sys.stdin)
    found = [(*finding, muting(*finding[:2])) for finding in findings(policies)]
    loud = [f"{issue} at {address}: {matter}" for issue, address, matter, mutes in found if not mutes]
    needless = MUTED.difference(*(mutes for *_, mutes in found))
    loud += [f"Nothing at {address} is {issue} any more: remove the mute" for issue, address in needless]
    for line in [*loud, f"{len(policies)} policies, {len(loud)} findings"]:
        print(line)  # noqa: T201 - it is a program
    sys.exit(bool(loud))


if __name__ == "__main__":
    main()
