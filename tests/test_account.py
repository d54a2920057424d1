"""A whole account, from empty to empty again, with the operator's commands; IAM and TLS enforced."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.ops.aws.posting import post
from infra.ops.aws.target import PREFIX
from infra.ops.aws.uploads import upload
from infra.ops.aws.versions import versions
from infra.ops.local.cloud import ROOT, local_cloud
from tests import by_hand
from tests.account import (
    ACCOUNT,
    API,
    FUNCTION,
    NUMBER,
    NUMBERED,
    OWNER,
    REGION,
    REPOSITORY,
    STAGE,
    STATE_BUCKET,
    WITHIN,
    Account,
    acting_as,
    allow,
    client,
    denied,
    deployer,
    deployer_role,
    listed,
    role_session,
    wait_for,
    widen_for_ministack,
)
from tests.readme import block

# Unknown here: a paused function does not answer, and the local cloud makes no metrics from logs.
UNKNOWN_HERE = {"revision", "last day"}
JSON = {"Content-Type": "application/json"}
RECORD = b'{"patient_id":"P-1","patient_name":"Ada"}'
SCAN = b"[" + RECORD + b"]"

pytestmark = pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not installed")


@pytest.fixture(scope="module")
def administrator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An administrator at a terminal, who has allowed a GitHub repository to deploy two stages."""
    with local_cloud(tls=True):
        account = Account(checkout_in(tmp_path_factory.mktemp("administrator")))
        add_stage(account.checkout)
        who = account.checkout / "infra" / "bootstrap" / "github.auto.tfvars"
        who.write_text(with_repository(who.read_text()))
        Account(account.checkout, by_hand.tools(account.checkout)).script(
            by_hand.script(*by_hand.shown(by_hand.BOOTSTRAP))
        )
        printed = account.ops("bootstrap", "--stage", STAGE)
        for stage in (STAGE, "staging"):
            assert f"{stage} is deployed by arn:aws:iam::{ACCOUNT}:role/{deployer_role(stage)}" in printed
            widen_for_ministack(deployer_role(stage))
        yield account


def with_repository(settings: str) -> str:
    """Uncomment the settings, and fill in the repository."""
    for default, ours in {"owner/name": REPOSITORY, "= 1": f"= {OWNER}", "= 2": f"= {NUMBER}"}.items():
        assert default in settings
        settings = settings.replace(default, ours)
    return settings.replace("# github_", "github_")


@pytest.fixture(scope="module")
def account(administrator: Account, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """A GitHub Actions job: its checkout, and the role with which it deploys the stage."""
    assert administrator
    checkout = checkout_in(tmp_path_factory.mktemp("job"))
    with (checkout / "infra" / "env" / f"{STAGE}.tfvars").open("a") as settings:
        settings.write("rejected_records_threshold = 7\nreserved_concurrency = 50\n")
        settings.write('reconcile_schedule = "rate(1 day)"\n')
    return Account(checkout, deployer(STAGE))


def checkout_in(folder: Path) -> Path:
    listing = ["/usr/bin/env", "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def url(account: Account) -> str:
    """The URL of the stage's API. The first deployment was killed halfway, the second completed it."""
    killed = account.start("deploy", "--stage", STAGE)
    wait_for(lambda: any("-raw-" in name for name in bucket_names()))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    printed = account.ops("deploy", "--stage", STAGE)

    return str(re.findall(r"^POST (\S+)", printed, re.MULTILINE)[0])


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[Account]:
    """A second stage, from two files and a block. Another CI system deploys it by hand in the background."""
    assert url
    checkout = checkout_in(tmp_path_factory.mktemp("staging"))
    add_stage(checkout)
    numbered = f"repo:{NUMBERED}:environment:{by_hand.STAGE}"
    account = Account(checkout, by_hand.tools(checkout) | deployer(by_hand.STAGE, numbered))
    parts = (by_hand.FOUNDATION, by_hand.APPLICATION, by_hand.OPERATIONS)
    account.begin_script(by_hand.script(*(block for part in parts for block in by_hand.shown(part))))
    yield account
    account.end()


def add_stage(checkout: Path) -> None:
    """Add the stage `staging` as the README says."""
    copying = block("for file in tfvars s3.tfbackend; do").text
    subprocess.run(["/bin/sh", "-ec", copying], cwd=checkout, check=True)
    config = checkout / ".chalice" / "config.json"
    settings = json.loads(config.read_text())
    settings["stages"]["staging"] = settings["stages"]["dev"]
    config.write_text(json.dumps(settings))


def bucket_names() -> list[str]:
    return [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]


def keys(bucket: str) -> list[str]:
    return [item["Key"] for item in client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.mark.usefixtures("staging")
def test_a_deployed_stage_works(account: Account, url: str) -> None:
    outcome = upload(account.buckets(), "first.json", SCAN, seconds=WITHIN)

    assert (outcome.extracted, outcome.rejected) == (1, 0)
    assert post(url, SCAN, JSON, region=REGION).status == 200


def test_a_killed_deployment_is_completed_and_not_duplicated(url: str) -> None:
    assert url
    ours = sorted(re.sub(r"-\d{20,}$", "", name) for name in bucket_names() if "staging" not in name)
    assert ours == [
        "ikerian-data-pipeline-state-000000000000",
        *(f"ikerian-dev-{n}" for n in ("operations", "processed", "raw", "rejected")),
    ]


def test_a_second_deployment_changes_nothing(account: Account, url: str) -> None:
    printed = account.ops("deploy", "--stage", STAGE)

    assert url in printed
    assert "an undeleted object is published" in printed.partition(f"The stage {STAGE} is deployed.")[2]
    assert "infra 0 added, 0 changed, 0 destroyed" in printed
    assert "No changes." in account.ops("plan", "--stage", STAGE)


@pytest.mark.usefixtures("url")
def test_the_deployer_can_verify_a_stage_which_leaves_nothing_in_it(account: Account) -> None:
    assert f"The stage {STAGE} does what it should." in account.ops("verify", "--stage", STAGE)

    assert not [one for bucket in account.buckets() for one in versions(client("s3"), bucket, PREFIX)]


def test_chalice_on_another_machine_deploys_the_same_api(url: str, tmp_path: Path) -> None:
    machine = Account(checkout_in(tmp_path), by_hand.tools(tmp_path) | deployer(STAGE))

    printed = machine.ops("configure", "--stage", STAGE)
    machine.script(printed.partition("To deploy it from here:\n")[2])

    deployed = json.loads((tmp_path / ".chalice" / "deployed" / f"{STAGE}.json").read_text())
    assert [one["rest_api_id"] in url for one in deployed["resources"] if "rest_api_id" in one] == [True]


@pytest.mark.usefixtures("administrator")
@pytest.mark.parametrize(
    "subject",
    [
        "repo:somebody/else:environment:dev",
        f"repo:{REPOSITORY}:environment:prod",
        f"repo:{REPOSITORY}:pull_request",
        f"repo:{REPOSITORY}:ref:refs/heads/main",
        f"repo:{REPOSITORY.title()}:environment:dev",
        f"repo:{NUMBERED}:environment:prod",
        f"repo:{NUMBERED.replace(str(OWNER), '99')}:environment:dev",
        f"repo:{NUMBERED.replace(str(NUMBER), '99')}:environment:dev",
    ],
)
def test_no_other_job_can_assume_the_role(subject: str) -> None:
    assert denied(deployer, stage=STAGE, subject=subject)


@pytest.mark.usefixtures("url")
def test_the_deployer_can_access_neither_scans_nor_other_stages(account: Account) -> None:
    session = deployers_session()
    s3, iam = session.client("s3"), session.client("iam")
    key = "deployers-must-not-read.json"
    client("s3").put_object(Bucket=account.buckets().raw, Key=key, Body=SCAN)

    for bucket in account.buckets():
        with open_to_the_deployer(s3, bucket):
            assert denied(s3.get_object, Bucket=bucket, Key=key)
            assert denied(s3.put_object, Bucket=bucket, Key=key, Body=b"")
            assert denied(s3.delete_object, Bucket=bucket, Key=key)
    for bucket in account.buckets()[1:]:
        assert denied(s3.put_object, Bucket=bucket, Key=f"{PREFIX}{key}", Body=b"")
    assert denied(s3.get_object, Bucket=STATE_BUCKET, Key="prod/foundation.tfstate")
    assert denied(s3.list_objects_v2, Bucket=f"ikerian-prod-raw-{'0' * 26}")
    for role in (deployer_role(STAGE), "ikerian-data-pipeline-prod"):
        assert denied(iam.put_role_policy, RoleName=role, PolicyName="all", PolicyDocument="{}")


def deployers_session() -> boto3.Session:
    access = deployer(STAGE)
    return boto3.Session(
        access["AWS_ACCESS_KEY_ID"],
        access["AWS_SECRET_ACCESS_KEY"],
        access["AWS_SESSION_TOKEN"],
        region_name=REGION,
    )


@contextmanager
def open_to_the_deployer(s3: Any, bucket: str) -> Iterator[None]:
    """Set a bucket's policy to one that allows the deployer everything. The deployer may set policies."""
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    role = f"arn:aws:iam::{ACCOUNT}:role/{deployer_role(STAGE)}"
    opened = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "s3:*", "Resource": resources}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [opened]}))
    try:
        yield
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=before)


@pytest.mark.usefixtures("url")
def test_the_deployer_cannot_make_a_role_more_powerful_than_its_boundary() -> None:
    iam = deployers_session().client("iam")
    everything = json.dumps({"Version": "2012-10-17", "Statement": [allow("*", "*")]})
    boundary = client("iam").get_role(RoleName=FUNCTION)["Role"]["PermissionsBoundary"]
    trust = client("iam").get_role(RoleName=FUNCTION)["Role"]["AssumeRolePolicyDocument"]

    assert boundary["PermissionsBoundaryArn"] == f"arn:aws:iam::{ACCOUNT}:policy/ikerian-{STAGE}-boundary"
    assert denied(iam.delete_role_permissions_boundary, RoleName=FUNCTION)
    assert denied(
        iam.put_role_permissions_boundary,
        RoleName=FUNCTION,
        PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess",
    )
    assert denied(
        iam.create_policy_version,
        PolicyArn=boundary["PermissionsBoundaryArn"],
        PolicyDocument=everything,
        SetAsDefault=True,
    )
    assert denied(iam.create_role, RoleName=API, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=FUNCTION, PolicyName="everything", PolicyDocument=everything)
    try:
        powerful = role_session(FUNCTION)
        assert denied(powerful.client("s3").list_buckets)
        assert denied(powerful.client("s3").get_object, Bucket=STATE_BUCKET, Key="prod/foundation.tfstate")
        assert denied(powerful.client("iam").list_roles)
    finally:
        iam.delete_role_policy(RoleName=FUNCTION, PolicyName="everything")


@pytest.mark.usefixtures("url")
def test_a_replay_publishes_a_missing_object(administrator: Account, account: Account) -> None:
    raw, processed, _ = account.buckets()
    client("s3").put_object(Bucket=raw, Key="replayed.json", Body=SCAN)
    wait_for(lambda: "replayed.json" in keys(processed))
    client("s3").delete_object(Bucket=processed, Key="replayed.json")

    printed = administrator.ops("replay", "--stage", STAGE, "--prefix", "replayed")

    assert "\npublished 1\n" in printed
    assert "replayed.json" in keys(processed)


@pytest.mark.usefixtures("url")
def test_the_upload_of_an_uploader_who_can_read_nothing_is_published(account: Account) -> None:
    raw, processed, rejected = account.buckets()
    key = "from-the-clinic.json"

    with acting_as("clinic", allow("s3:PutObject", f"arn:aws:s3:::{raw}/*")):
        s3 = client("s3")
        s3.put_object(Bucket=raw, Key=key, Body=SCAN)
        reads = [denied(s3.get_object, Bucket=bucket, Key=key) for bucket in (raw, processed, rejected)]

    assert reads == [True, True, True]
    wait_for(lambda: key in keys(processed))


def test_a_caller_without_permission_for_the_api_is_answered_with_403(url: str) -> None:
    assert post(url, SCAN, JSON, region=None).status == 403
    with acting_as("stranger"):
        assert post(url, SCAN, JSON, region=REGION).status == 403
    with acting_as(
        "partner", allow("execute-api:Invoke", f"arn:aws:execute-api:{REGION}:*:*/api/POST/process")
    ):
        assert post(url, SCAN, JSON, region=REGION).status == 200


@pytest.mark.usefixtures("url")
def test_a_role_has_no_permission_that_its_function_does_not_need(account: Account) -> None:
    raw, processed, rejected = account.buckets()
    client("s3").put_object(Bucket=raw, Key="there.txt", Body=SCAN)
    processor = role_session(FUNCTION).client("s3")
    api = role_session(API).client("s3")

    assert not denied(processor.get_object, Bucket=raw, Key="there.txt")
    assert denied(processor.put_object, Bucket=raw, Key="new.txt", Body=b"")
    assert denied(processor.delete_object, Bucket=raw, Key="there.txt")
    assert denied(processor.delete_object, Bucket=processed, Key="first.json")
    assert denied(processor.get_object, Bucket=rejected, Key="any.jsonl")
    assert denied(processor.get_object, Bucket=STATE_BUCKET, Key=f"{STAGE}/foundation.tfstate")
    assert denied(processor.list_buckets)
    for bucket in (raw, processed, rejected):
        assert denied(api.list_objects_v2, Bucket=bucket)
        assert denied(api.get_object, Bucket=bucket, Key="there.txt")
        assert denied(api.put_object, Bucket=bucket, Key="new.txt", Body=b"")


# Permissions that the local cloud does not enforce: without them, nothing fails here.
NOT_ENFORCED = {
    "WritesItsOwnLog: logs:CreateLogStream",  # MiniStack writes a function's log, whatever the role may do
    "WritesItsOwnLog: logs:PutLogEvents",  # as above
    "SendsFailuresToTheirQueue: sqs:SendMessage",  # MiniStack sends there, whatever the role may do
}


@pytest.mark.usefixtures("url")
def test_every_permission_of_the_processor_is_needed_and_none_is_missing(account: Account) -> None:
    assert not broken_promises(account)

    unneeded = {permission for permission in removed_one_by_one() if not broken_promises(account)}

    assert unneeded == NOT_ENFORCED
    assert not broken_promises(account)


def removed_one_by_one() -> Iterator[str]:
    """Remove one permission after the other from the processor's role; yield each while it is removed."""
    iam = client("iam")
    for name in iam.list_role_policies(RoleName=FUNCTION)["PolicyNames"]:
        role = {"RoleName": FUNCTION, "PolicyName": name}
        policy = iam.get_role_policy(**role)["PolicyDocument"]
        for permission, less in without_each(policy):
            iam.put_role_policy(**role, PolicyDocument=json.dumps(less))
            yield permission
        iam.put_role_policy(**role, PolicyDocument=json.dumps(policy))


def without_each(policy: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each permission of a policy ("statement: action"), and the policy without it."""
    statements = policy["Statement"]
    for statement in statements:
        actions = listed(statement["Action"])
        for action in actions:
            rest = {**statement, "Action": [other for other in actions if other != action] or ["none:None"]}
            less = [rest if other is statement else other for other in statements]
            yield f"{statement['Sid']}: {action}", {**policy, "Statement": less}


def broken_promises(account: Account) -> set[str]:
    """Let the processor do everything that it does; return what does not work."""
    raw, *written = account.buckets()
    s3 = client("s3")
    key = f"permissions/{time.monotonic_ns()}"  # no .json: S3 sends no event, only this test does
    documents = {
        "publishes, and keeps what it rejects": b"[{}, " + RECORD + b"]",
        "replaces": SCAN,
        "aborts what it would have published": long(RECORD),
        "aborts what it would have rejected": long(b'{"patient_id":"%s"}' % (b"x" * 1000)),
    }
    broken = set()
    for promise, document in documents.items():
        s3.put_object(Bucket=raw, Key=key, Body=document)
        if account.invoke(key) or unfinished_uploads(written):
            broken.add(promise)
    return broken


def long(record: bytes) -> bytes:
    """Make a document whose output takes more than one part, and whose end is malformed."""
    return b"[" + (record + b",") * (9 * 1024 * 1024 // len(record)) + b"broken"


def unfinished_uploads(buckets: list[str]) -> bool:
    """Abort unfinished uploads; says whether there were any."""
    s3, found = client("s3"), False
    for bucket in buckets:
        for one in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
            found = True
    return found


@pytest.mark.usefixtures("url")
def test_an_upload_that_fails_for_good_can_be_redriven_from_the_failure_queue(account: Account) -> None:
    queue = client("sqs").get_queue_url(QueueName=f"{FUNCTION}-failures")["QueueUrl"]
    key = "fails/CANARY.json"

    with without_policy("publishes-uploads"):
        client("s3").put_object(Bucket=account.buckets().raw, Key=key, Body=SCAN.replace(b"Ada", b"SECRET"))
        message = first_message(queue)

    record = json.loads(message["Body"])
    (sent,) = record["requestPayload"]["Records"]
    assert sent["s3"]["object"]["key"] == key
    assert "SECRET" not in message["Body"]
    assert "CANARY" not in json.dumps(record["responsePayload"])
    operator = Account(account.checkout)  # not in GitHub's role
    assert "1 accepted by Lambda" in operator.ops("redrive", "--stage", STAGE)
    wait_for(lambda: key in keys(account.buckets().processed))


def first_message(queue: str) -> dict[str, Any]:
    for _ in range(12):
        answer = client("sqs").receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=5)
        for message in answer.get("Messages", []):
            return dict(message)
    pytest.fail("no message came into the queue")


def functions() -> list[str]:
    return [one["FunctionName"] for one in client("lambda").list_functions()["Functions"]]


@contextmanager
def without_policy(name: str) -> Iterator[None]:
    """Remove a policy from the processor's role for a while."""
    iam, role = client("iam"), {"RoleName": FUNCTION, "PolicyName": name}
    policy = iam.get_role_policy(**role)["PolicyDocument"]
    iam.delete_role_policy(**role)
    try:
        yield
    finally:
        iam.put_role_policy(**role, PolicyDocument=json.dumps(policy))


@pytest.mark.usefixtures("url")
def test_the_settings_of_a_stages_file_are_deployed() -> None:
    reserved = client("lambda").get_function_concurrency(FunctionName=FUNCTION)
    (alarm,) = client("cloudwatch").describe_alarms(AlarmNames=[f"{API}.rejected-records"])["MetricAlarms"]

    assert reserved["ReservedConcurrentExecutions"] == 50
    assert alarm["Threshold"] == 7


@pytest.mark.usefixtures("url")
def test_a_paused_stage_is_unhealthy_and_resumes_with_the_concurrency_of_its_file(
    account: Account,
) -> None:
    operator = Account(account.checkout)  # not in GitHub's role
    assert "wait in the failure queue" in operator.ops("pause", "--stage", STAGE)
    process = operator.start("status", "--stage", STAGE, "--json")
    lines = [json.loads(line) for line in process.communicate()[0].splitlines()]
    found = {line["finding"]: line for line in lines if "finding" in line}

    assert "uploads at once 50" in operator.ops("resume", "--stage", STAGE)
    reserved = client("lambda").get_function_concurrency(FunctionName=FUNCTION)
    assert reserved["ReservedConcurrentExecutions"] == 50
    assert process.returncode == 3
    assert lines[-1]["todo"][0] == f"make resume STAGE={STAGE}"
    assert found["alarms"]["alarms"] >= 10
    assert set(found["logs"]["retention_days"].values()) == {14}
    assert not [name for name, one in found.items() if "unknown" in one and name not in UNKNOWN_HERE]


@pytest.mark.usefixtures("url")
def test_requests_without_tls_are_denied(account: Account) -> None:
    raw = account.buckets().raw
    policy = client("s3").get_bucket_policy(Bucket=raw)["Policy"]

    with local_cloud(tls=False):
        s3 = boto3.client("s3")
        for bucket in (raw, "ordinary"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_policy(Bucket=raw, Policy=policy)
        with acting_as("clinic", allow("s3:*", "*")):
            put = client("s3").put_object
            assert not denied(put, Bucket="ordinary", Key="key", Body=b"")
            assert denied(put, Bucket=raw, Key="key", Body=b"")


def test_a_stage_that_is_deployed_by_hand_works(staging: Account) -> None:
    staging.end()
    uploader = Account(staging.checkout, tools_of(staging))
    upload_it, copy_it = by_hand.shown(by_hand.UPLOAD)

    uploader.script(by_hand.script(upload_it))
    (processed,) = [name for name in bucket_names() if "staging-processed" in name]
    wait_for(lambda: "in/first.json" in keys(processed))

    assert uploader.script(by_hand.script(copy_it)).endswith(block("[").text)


def tools_of(account: Account) -> dict[str, str]:
    """Return an account's tools, without the role that it uses."""
    return {name: value for name, value in account.environment.items() if not name.startswith("AWS_")}


# The local cloud applies a new notification at once: no need to wait long.
DEPLOYS_WITHOUT_WAITING = """
import runpy
from infra.ops.commands import ingest
assert ingest.SETTLE_SECONDS > 3
ingest.SETTLE_SECONDS = 3
runpy.run_module("infra.ops", run_name="__main__")
"""


@pytest.mark.skipif("LONG" not in os.environ, reason="two deployments take three minutes; make chaos runs it")
@pytest.mark.usefixtures("url")
def test_a_change_to_the_queue_and_back_loses_no_upload(account: Account) -> None:
    settings = account.checkout / "infra" / "env" / f"{STAGE}.tfvars"
    direct = settings.read_text()
    raw, processed, _ = account.buckets()

    with uploading(raw) as uploaded:
        settings.write_text(f'{direct}ingest = "queue"\nqueue_concurrency = 20\n')
        printed = deployed_anew(account)
        assert notified_by_s3(raw) == {f"{FUNCTION}-uploads"}
        assert functions_of_mappings() == {FUNCTION}
        settings.write_text(direct)
        printed += deployed_anew(account)
    wait_for(lambda: set(uploaded) <= set(keys(processed)))

    assert printed.count(f"The stage {STAGE} does what it should.") == 2
    assert notified_by_s3(raw) == {FUNCTION}
    assert functions_of_mappings() == set()
    assert not [url for url in client("sqs").list_queues()["QueueUrls"] if url.endswith("-uploads")]


def deployed_anew(account: Account) -> str:
    done = account.run(sys.executable, "-c", DEPLOYS_WITHOUT_WAITING, "deploy", "--stage", STAGE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def uploading(bucket: str) -> Iterator[list[str]]:
    """Upload one object after the other in the background; yields the list of their keys."""
    uploaded: list[str] = []
    s3, over = client("s3"), threading.Event()

    def upload_on() -> None:
        while not over.wait(2):  # seconds: each upload starts a function on this busy machine
            key = f"meanwhile/{len(uploaded)}.json"
            s3.put_object(Bucket=bucket, Key=key, Body=SCAN)
            uploaded.append(key)

    uploads = threading.Thread(target=upload_on)
    uploads.start()
    try:
        yield uploaded
    finally:
        over.set()
        uploads.join()


def notified_by_s3(bucket: str) -> set[str]:
    answer = client("s3").get_bucket_notification_configuration(Bucket=bucket)
    arns = {one["QueueArn"] for one in answer.get("QueueConfigurations", [])}
    arns |= {one["LambdaFunctionArn"] for one in answer.get("LambdaFunctionConfigurations", [])}
    return {arn.rpartition(":")[2] for arn in arns}


def functions_of_mappings() -> set[str]:
    mappings = client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return {one["FunctionArn"].rpartition(":")[2] for one in mappings}


def test_deploying_an_unknown_stage_says_which_files_it_needs(account: Account) -> None:
    process = account.start("deploy", "--stage", "nowhere")
    printed, _ = process.communicate()

    assert process.returncode == 1
    assert "infra/env/nowhere.tfvars" in printed
    assert ".chalice/config.json" in printed


@pytest.mark.usefixtures("url")
def test_a_stage_with_data_is_not_destroyed(account: Account) -> None:
    process = account.start("destroy", "--stage", STAGE)
    printed, _ = process.communicate()

    assert process.returncode == 1
    assert "--delete-data" in printed
    assert client("lambda").get_function(FunctionName=FUNCTION)
    assert "first.json" in keys(account.buckets().processed)


@pytest.mark.usefixtures("url")
def test_the_state_bucket_is_not_deleted_while_another_stage_needs_it(
    administrator: Account, staging: Account
) -> None:
    assert staging
    process = administrator.start("destroy", "--stage", STAGE, "--delete-data", "--last")
    printed, _ = process.communicate()

    assert process.returncode == 1
    assert "not the last stage: there is staging" in printed
    assert client("lambda").get_function(FunctionName=FUNCTION)


def empty(buckets: list[str]) -> None:
    for bucket in buckets:
        boto3.Session(region_name=REGION).resource("s3").Bucket(bucket).object_versions.delete()


@pytest.mark.usefixtures("url")
def test_destroy_leaves_nothing_behind(administrator: Account, staging: Account) -> None:
    empty([name for name in bucket_names() if "-staging-" in name])
    staging.begin_script(by_hand.teardown())
    killed = administrator.start("destroy", "--stage", STAGE, "--delete-data")
    wait_for(lambda: not client("apigateway").get_rest_apis()["items"] or FUNCTION not in functions())
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    staging.end()
    administrator.ops("destroy", "--stage", STAGE, "--delete-data", "--last")

    left = {
        "alarms": client("cloudwatch").describe_alarms()["MetricAlarms"],
        "apis": client("apigateway").get_rest_apis()["items"],
        "buckets": bucket_names(),
        "dashboards": client("cloudwatch").list_dashboards()["DashboardEntries"],
        "functions": client("lambda").list_functions()["Functions"],
        "identity providers": client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"],
        "logs": client("logs").describe_log_groups()["logGroups"],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "roles": client("iam").list_roles()["Roles"],
        "topics": client("sns").list_topics()["Topics"],
    }
    assert {kind: found for kind, found in left.items() if found} == {}
