"""The policies of several rendered stages: what they allow, and what they must not."""

import json
import re
from collections.abc import Iterable
from itertools import permutations
from typing import Any

import boto3
import pytest

from infra.ops.local.cloud import ROOT
from tests.account import ACCOUNT as LOCAL_ACCOUNT
from tests.account import acting_as, denied, listed
from tests.deployment import Deployment
from tests.rendering import ACCOUNT, HERE, INFRA, STATES, Rendered, environment, initialised, rendered

# Each is a prefix of another, and one ends like the name of a bucket.
STAGES = ("dev", "dev-eu", "dev-raw")
DEPLOYER = "aws_iam_role_policy.deploys", "aws_iam_role_policy.keeps", "aws_iam_role_policy.tries"
# The permission that each operation of S3 requires
# (https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html).
WANTED = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "upload_part": "s3:PutObject",
}
WRITES = {
    "abort_multipart_upload",
    "complete_multipart_upload",
    "create_multipart_upload",
    "put_object",
    "upload_part",
}
# What the code calls in each bucket.
CALLS = {
    "raw": {"get_object", "head_object"},
    "processed": {"head_object", *WRITES},
    "rejected": WRITES,
}
# Without s3:ListBucket, S3 answers 403 for a missing object.
S3_OF_DATA_PROCESSOR = {(WANTED[call], use) for use, calls in CALLS.items() for call in calls} | {
    ("s3:ListBucket", "raw"),
    ("s3:ListBucket", "processed"),
}
# What Lambda itself does in the role of a function: it writes the log and connects the function to a VPC.
LAMBDA_DOES = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
}
# All actions that the role of each function is used for. Lambda also sends failed events to their queue and
# polls the upload queue. S3 uses the KMS key.
USED = {
    "ikerian-data-pipeline-{stage}": LAMBDA_DOES,
    "ikerian-data-pipeline-{stage}-data-processor": LAMBDA_DOES
    | {action for action, _ in S3_OF_DATA_PROCESSOR}
    | {"kms:Decrypt", "kms:GenerateDataKey"}
    | {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"},
}
# Actions without a resource of the stage: they list names of all stages.
LISTING_ACTIONS = {
    "cloudwatch:DescribeAlarms",
    "logs:DescribeLogGroups",
    "states:ValidateStateMachineDefinition",
}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[Rendered]:
    foundation = initialised(INFRA, environment(tmp_path_factory.mktemp("terraform")), "env")
    return [rendered(foundation, stage) for stage in STAGES]


def owned(stage: Rendered) -> list[str]:
    """List the ARNs of a stage: of its resources, their contents, and what Chalice creates."""
    buckets = [
        f"{bucket}/smoke-test/scan.json" for bucket in stage.arns("bucket") if "-operations-" not in bucket
    ]
    names = [arn.rpartition("/")[2] for arn in stage.arns("log_group")]
    functions = [f"arn:aws:lambda:{HERE}:function:{name}" for name in names]
    streams = [f"{group}:log-stream:2026" for group in stage.arns("log_group")]
    states = [f"{STATES}/{stage.name}/{name}" for name in ("foundation.tfstate", "chalice.json")]
    return [*stage.arns(), *buckets, *functions, *streams, *states]


def allows(statement: dict[str, Any], arn: str) -> bool:
    """Say whether a statement allows any action on a resource."""
    if statement["Effect"] == "Deny":
        return False
    services = {action.partition(":")[0] for action in set(listed(statement["Action"])) - LISTING_ACTIONS}
    # An event source mapping has no name. Its stage shows in the condition on the function.
    function = statement.get("Condition", {}).get("ArnEquals", {}).get("lambda:FunctionArn")
    return arn.split(":")[2] in services and any(
        matches(arn, pattern) for pattern in listed(function or statement["Resource"])
    )


def matches(arn: str, pattern: str) -> bool:
    """Match as IAM does: `*` is any text, `?` any single character."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, arn, re.DOTALL) is not None


def deployer(stage: Rendered) -> list[dict[str, Any]]:
    return [statement for address in DEPLOYER for statement in stage.statements(address)]


def compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


def test_policies_are_within_iams_size_limits(stages: list[Rendered]) -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: white space does not count.
    longest = "a-longer-stage-1"
    for stage in stages:
        longer = len(longest) - len(stage.name)
        inline, bounded = (
            sum(len(text) + text.count(stage.name) * longer for text in map(compact, documents))
            for documents in ([deployer(stage)], [list(stage.statements("aws_iam_policy.this"))])
        )
        assert inline <= 10_240
        assert bounded <= 6_144


def test_no_stage_may_act_on_another_stages_resources(stages: list[Rendered]) -> None:
    reached = {
        (one.name, statement["Sid"], arn)
        for one, other in permutations(stages, 2)
        for statement in one.statements()
        for arn in owned(other)
        if allows(statement, arn)
    }

    assert not reached


def test_a_deployer_may_act_on_all_resources_of_its_stage_but_its_own_role(stages: list[Rendered]) -> None:
    for stage in stages:
        beyond = [arn for arn in owned(stage) if not any(allows(said, arn) for said in deployer(stage))]
        assert beyond == [f"arn:aws:iam::{ACCOUNT}:role/ikerian-{stage.name}-deployer"]


def test_a_topic_accepts_only_the_alarms_of_its_stage(stages: list[Rendered]) -> None:
    for stage in stages:
        (said,) = stage.statements("aws_sns_topic_policy")
        rings = said["Condition"]["ArnLike"]["aws:SourceArn"]
        everybodys = [alarm for one in stages for alarm in one.arns("alarm")]
        assert [alarm for alarm in everybodys if matches(alarm, rings)] == stage.arns("alarm")


def test_a_deployer_may_access_only_objects_of_the_smoke_test(stages: list[Rendered]) -> None:
    for stage in stages:
        scans = [f"{bucket}/{key}" for bucket in stage.arns("bucket") for key in ("a.json", "a/smoke-test/b")]
        seen = [
            scan for scan in scans for said in deployer(stage) if allows(said, scan) and _of_objects(said)
        ]
        assert not seen


def test_a_boundary_allows_everything_in_the_policies_of_its_roles(stages: list[Rendered]) -> None:
    for stage in stages:
        bounded = list(stage.statements("aws_iam_policy.this"))
        deployers = ("aws_iam_policy.this", *DEPLOYER, "aws_iam_role_policy.sees")
        roles = [
            at for at in stage.policies() if "aws_iam_role_policy" in at and not at.startswith(deployers)
        ]
        beyond = [
            (action, resource)
            for statement in (said for at in roles for said in stage.statements(at))
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
            if not any(_grants(one, action, resource) for one in bounded)
        ]

        assert len(roles) == 10
        assert not beyond


def _grants(statement: dict[str, Any], action: str, resource: str) -> bool:
    return action in listed(statement["Action"]) and any(
        matches(resource, pattern) for pattern in listed(statement["Resource"])
    )


def _of_objects(statement: dict[str, Any]) -> bool:
    return any("Object" in action for action in listed(statement["Action"]))


def test_every_permission_for_s3_is_limited_to_the_account(stages: list[Rendered]) -> None:
    said = [statement for stage in stages for statement in stage.statements()]
    open_to_others = [
        statement["Sid"]
        for statement in said
        if statement["Effect"] == "Allow"
        and any(action.startswith("s3:") for action in listed(statement["Action"]))
        and statement.get("Condition") != {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}
    ]

    # A missing bucket has no owner.
    assert open_to_others == ["MakesTheBucketsAndSeesWhetherTheyAreThere"] * len(stages)


def test_role_vpc_endpoint_and_local_policy_allow_the_same_of_s3(stages: list[Rendered]) -> None:
    role = s3_permissions(stages[0].statements("publishes_uploads"))
    endpoint = s3_permissions(stages[0].statements("aws_vpc_endpoint"))
    # It has no condition on the account, because the local cloud has only one account.
    local = json.loads((ROOT / ".chalice" / "policy-local.json").read_text())["Statement"]

    assert s3_permissions(local) == role
    assert role < endpoint
    assert {action for action, _ in endpoint} == {action for action, _ in role}


def test_every_s3_operation_of_the_code_is_in_the_table() -> None:
    operations = {name for name in dir(boto3.client("s3")) if not name.startswith("_")}
    sources = [path.read_text() for path in (ROOT / "chalicelib").glob("*.py")]
    asked = {text for source in sources for text in re.findall(r'"(\w+)"', source)} & operations

    assert asked == set().union(*CALLS.values())


def test_data_processor_may_do_in_each_bucket_what_its_code_calls_and_no_more(stages: list[Rendered]) -> None:
    assert s3_permissions(stages[0].statements("publishes_uploads")) == S3_OF_DATA_PROCESSOR


@pytest.mark.parametrize("name", USED)
def test_a_functions_role_allows_what_it_is_used_for_and_no_more(stages: list[Rendered], name: str) -> None:
    stage = stages[0]
    role = name.format(stage=stage.name)
    policies = [json.loads(made["policy"]) for made in values(stage, "aws_iam_role_policy", role)]
    statements = [statement for policy in policies for statement in policy["Statement"]]
    allowed = {
        action for said in statements if said["Effect"] == "Allow" for action in listed(said["Action"])
    }

    assert allowed == USED[name]
    assert not values(stage, "aws_iam_role_policy_attachment", role)


def values(stage: Rendered, kind: str, role: str) -> list[dict[str, Any]]:
    """Return the resources of a type that belong to a role."""
    made = [one["values"] for one in stage.resources.values() if one["type"] == kind]
    return [one for one in made if one["role"] == role]


def s3_permissions(statements: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return pairs of an action and the use of the bucket that it is allowed on."""
    return {
        (action, use)
        for statement in statements
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        for use in re.findall(r"-(raw|processed|rejected)\b", resource)
        # s3:ListBucket applies to buckets, all others to objects.
        if (action == "s3:ListBucket") != ("/" in resource)
    }


def test_data_processor_may_not_use_a_bucket_of_another_account(
    deployment: Deployment, stages: list[Rendered]
) -> None:
    statements = [for_the_local_account(said) for said in stages[0].statements("publishes_uploads")]
    (raw,) = [arn.rpartition(":")[2] for arn in stages[0].arns("bucket") if "-raw-" in arn]
    deployment.s3.create_bucket(Bucket=raw)
    deployment.s3.put_object(Bucket=raw, Key="scan.json", Body=b"[]")

    with acting_as("data-processor", *statements):
        reads = boto3.Session().client("s3").get_object
        assert not denied(reads, Bucket=raw, Key="scan.json")
        give_to_another_account(deployment, raw)
        assert denied(reads, Bucket=raw, Key="scan.json")


def for_the_local_account(statement: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(json.dumps(statement).replace(ACCOUNT, LOCAL_ACCOUNT))
    return said


def give_to_another_account(deployment: Deployment, bucket: str) -> None:
    owner: Any = {"TagSet": [{"Key": "belongs-to", "Value": "999999999999"}]}
    deployment.s3.put_bucket_tagging(Bucket=bucket, Tagging=owner)
