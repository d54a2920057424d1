# Tests of the foundation, on a plan with a mocked provider: no account, no network.

mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
  mock_resource "aws_vpc_endpoint" {
    defaults = { prefix_list_id = "pl-s3" }
  }

  override_resource {
    target = module.raw_bucket.aws_s3_bucket.this
    values = { bucket = "raw", arn = "arn:aws:s3:::raw" }
  }
  override_resource {
    target = module.processed_bucket.aws_s3_bucket.this
    values = { bucket = "processed", arn = "arn:aws:s3:::processed" }
  }
  override_resource {
    target = module.rejected_bucket.aws_s3_bucket.this
    values = { bucket = "rejected", arn = "arn:aws:s3:::rejected" }
  }
  override_resource {
    target = module.operations_bucket.aws_s3_bucket.this
    values = { bucket = "operations", arn = "arn:aws:s3:::operations" }
  }
  override_resource {
    target = aws_iam_role.replay
    values = { arn = "arn:aws:iam::123456789012:role/ikerian-data-pipeline-test-data-processor-replay" }
  }
  override_resource {
    target = aws_iam_role.schedule
    values = { arn = "arn:aws:iam::123456789012:role/ikerian-data-pipeline-test-data-processor-cron" }
  }
  override_resource {
    target = aws_sfn_state_machine.replay
    values = { arn = "arn:aws:states:eu-central-1:123456789012:stateMachine:ikerian-data-pipeline-test-replay" }
  }
  override_resource {
    target = module.api.aws_cloudwatch_log_group.this
    values = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/ikerian-data-pipeline-test" }
  }
  override_resource {
    target = module.data_processor.aws_cloudwatch_log_group.this
    values = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/ikerian-data-pipeline-test-data-processor" }
  }
  override_resource {
    target = module.api.aws_iam_role.this
    values = { arn = "arn:aws:iam::123456789012:role/ikerian-data-pipeline-test" }
  }
  override_resource {
    target = module.data_processor.aws_iam_role.this
    values = { arn = "arn:aws:iam::123456789012:role/ikerian-data-pipeline-test-data-processor" }
  }
  override_resource {
    target = aws_sqs_queue.failures
    values = { arn = "arn:aws:sqs:eu-central-1:123456789012:failures", url = "https://sqs/failures" }
  }
  override_resource {
    target = aws_sqs_queue.uploads
    values = { arn = "arn:aws:sqs:eu-central-1:123456789012:uploads", url = "https://sqs/uploads" }
  }
  override_resource {
    target = aws_sns_topic.alarms
    values = { arn = "arn:aws:sns:eu-central-1:123456789012:alarms" }
  }
}

variables {
  stage  = "test"
  region = "eu-central-1"
}

run "names_are_those_that_chalice_and_deploy_use" {
  command = plan

  assert {
    condition = (
      output.raw_data_bucket_name == "raw" && output.processed_data_bucket_name == "processed" &&
      output.rejected_data_bucket_name == "rejected"
    )
    error_message = "Each output must name its own bucket."
  }
  assert {
    condition = (
      module.api.role_name == "ikerian-data-pipeline-test" &&
      module.data_processor.role_name == "ikerian-data-pipeline-test-data-processor"
    )
    error_message = "A role must be named like its function."
  }
  assert {
    condition     = output.subnet_ids == [] && output.security_group_ids == []
    error_message = "There must be no VPC without vpc_cidr."
  }
}

run "data_processor_has_exactly_the_permissions_that_it_needs" {
  command = plan

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.publishes_uploads.policy).Statement : s.Sid => [s.Action, s.Resource] } == {
      SeesWhetherAnObjectExists = ["s3:ListBucket", ["arn:aws:s3:::raw", "arn:aws:s3:::processed"]]
      ReadsUploads              = ["s3:GetObject", "arn:aws:s3:::raw/*"]
      ReplacesWhatIsPublished   = [["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], "arn:aws:s3:::processed/*"]
      WritesWhatIsRejected      = [["s3:AbortMultipartUpload", "s3:PutObject"], "arn:aws:s3:::rejected/*"]
      SendsFailuresToTheirQueue = ["sqs:SendMessage", "arn:aws:sqs:eu-central-1:123456789012:failures"]
    }
    error_message = "data-processor's policy has changed. If that was intended, change this test, too."
  }
  assert {
    condition     = length(aws_iam_role_policy.uses_the_key) == 0
    error_message = "Without a KMS key there must be no policy for one."
  }
}

run "a_kms_key_is_granted_for_each_buckets_objects_through_s3" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/k"
  }

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.uses_the_key[0].policy).Statement : s.Sid => [s.Action, s.Condition.StringLike["kms:EncryptionContext:aws:s3:arn"]] } == {
      DecryptsUploads = ["kms:Decrypt", ["arn:aws:s3:::raw", "arn:aws:s3:::raw/*"]]
      EncryptsWhatItWrites = [["kms:Decrypt", "kms:GenerateDataKey"], [
        "arn:aws:s3:::processed", "arn:aws:s3:::processed/*", "arn:aws:s3:::rejected", "arn:aws:s3:::rejected/*",
      ]]
    }
    error_message = "The role must decrypt uploads, and decrypt and encrypt objects of the other two buckets."
  }
  assert {
    condition = alltrue([
      for s in jsondecode(aws_iam_role_policy.uses_the_key[0].policy).Statement :
      s.Resource == var.kms_key_arn && s.Condition.StringEquals["kms:ViaService"] == "s3.eu-central-1.amazonaws.com"
    ])
    error_message = "The role may use only this key, and only through S3."
  }
}

run "a_replay_reads_the_raw_bucket_and_writes_where_its_results_expire" {
  command = plan

  assert {
    condition = [for state in jsondecode(aws_sfn_state_machine.replay.definition).States : [
      state.ItemReader.Parameters.Bucket, state.ResultWriter.Parameters.Bucket,
      [for task in state.ItemProcessor.States : task.Parameters.FunctionName],
      ] if state.Type == "Map"] == [
      ["raw", "operations", ["arn:aws:lambda:eu-central-1:123456789012:function:ikerian-data-pipeline-test-data-processor"]],
      ["operations", "operations", ["arn:aws:lambda:eu-central-1:123456789012:function:ikerian-data-pipeline-test-data-processor"]],
    ]
    error_message = "It must list uploads or read a manifest, and invoke data-processor."
  }
  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.replays.policy).Statement : s.Sid => [s.Action, s.Resource] } == {
      ListsUploads = ["s3:ListBucket", "arn:aws:s3:::raw"]
      ReadsManifestsAndWritesResults = [
        ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"], "arn:aws:s3:::operations/*",
      ]
      HandsBatchesToTheFunction = ["lambda:InvokeFunction", "arn:aws:lambda:eu-central-1:123456789012:function:ikerian-data-pipeline-test-data-processor"]
      StartsABatch              = ["states:StartExecution", "arn:aws:states:eu-central-1:123456789012:stateMachine:ikerian-data-pipeline-test-replay"]
      FollowsAndStopsBatches = [
        ["states:DescribeExecution", "states:StopExecution"],
        "arn:aws:states:eu-central-1:123456789012:execution:ikerian-data-pipeline-test-replay:*",
      ]
      RunsFailedBatchesAgain = ["states:RedriveExecution", "arn:aws:states:eu-central-1:123456789012:execution:ikerian-data-pipeline-test-replay/*:*"]
    }
    error_message = "The replay's policy has changed. If that was intended, change this test, too."
  }
  assert {
    condition = (
      aws_iam_role.replay.permissions_boundary == local.boundary_arn && length(aws_iam_role_policy.replay_uses_the_key) == 0 &&
      length(aws_scheduler_schedule.replay) == 0 && length(aws_iam_role.schedule) == 0
    )
    error_message = "It must have the boundary, and no schedule by default."
  }
}

run "a_replay_runs_on_schedule_if_configured" {
  command = plan

  variables {
    reconcile_schedule = "rate(1 day)"
  }

  assert {
    condition = (
      aws_scheduler_schedule.replay[0].schedule_expression == "rate(1 day)" &&
      one(aws_scheduler_schedule.replay[0].flexible_time_window).mode == "FLEXIBLE" &&
      one(aws_scheduler_schedule.replay[0].target).arn == aws_sfn_state_machine.replay.arn
    )
    error_message = "The scheduler must start the replay, within a flexible window."
  }
  assert {
    condition     = jsondecode(one(aws_scheduler_schedule.replay[0].target).input).scheduled
    error_message = "The input must mark the run as scheduled, so that its publications count as repaired."
  }
  assert {
    condition = (
      one(jsondecode(aws_iam_role_policy.starts_replays[0].policy).Statement).Action == "states:StartExecution" &&
      aws_iam_role.schedule[0].permissions_boundary == local.boundary_arn
    )
    error_message = "The scheduler may start the replay and nothing else."
  }
}

run "a_replay_uses_the_key_for_its_results" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/k"
  }

  assert {
    condition = one(jsondecode(aws_iam_role_policy.replay_uses_the_key[0].policy).Statement).Condition == {
      StringEquals = { "kms:ViaService" = "s3.eu-central-1.amazonaws.com" }
      StringLike   = { "kms:EncryptionContext:aws:s3:arn" = ["arn:aws:s3:::operations", "arn:aws:s3:::operations/*"] }
    }
    error_message = "The role may use the key only through S3, and only for the operations bucket."
  }
}

run "reconcile_schedule_must_be_a_schedule" {
  command = plan
  variables { reconcile_schedule = "daily" }
  expect_failures = [var.reconcile_schedule]
}

run "only_alarms_of_this_stage_may_notify_the_topic" {
  command = plan

  assert {
    condition     = jsondecode(aws_sns_topic_policy.alarms.policy).Statement[0].Condition.ArnLike["aws:SourceArn"] == "arn:*:cloudwatch:eu-central-1:123456789012:alarm:ikerian-data-pipeline-test.*"
    error_message = "The topic must accept alarms of this stage and nothing else."
  }
}

run "failures_are_encrypted_kept_two_weeks_and_sent_over_tls" {
  command = plan

  assert {
    condition     = aws_sqs_queue.failures.sqs_managed_sse_enabled && aws_sqs_queue.failures.message_retention_seconds == 1209600
    error_message = "The failure queue must be encrypted and keep its messages for 14 days."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue_policy.failures.policy).Statement[0].Condition == { Bool = { "aws:SecureTransport" = "false" } }
    error_message = "The failure queue must refuse plain HTTP."
  }
}

run "s3_invokes_the_function_by_default" {
  command = plan

  assert {
    condition = (
      length(aws_s3_bucket_notification.uploads) + length(aws_sqs_queue.uploads) + length(aws_iam_role_policy.receives_uploads) == 0 &&
      output.upload_queue_arn == "" && output.upload_queue_url == ""
    )
    error_message = "Without a queue, Terraform must not manage the notification, and the function may not receive messages."
  }
}

run "uploads_wait_in_a_queue_if_configured" {
  command = plan
  variables { ingest = "queue" }

  assert {
    condition = (
      one(one(aws_s3_bucket_notification.uploads).queue).queue_arn == "arn:aws:sqs:eu-central-1:123456789012:uploads" &&
      output.upload_queue_arn == "arn:aws:sqs:eu-central-1:123456789012:uploads" && output.upload_queue_url == "https://sqs/uploads"
    )
    error_message = "The raw bucket must notify the queue, and the outputs must have its ARN."
  }
  assert {
    condition     = output.queue_batch_size == 1
    error_message = "By default, each upload must have an invocation, and so the whole timeout, of its own."
  }
  assert {
    condition = (
      one(aws_sqs_queue.uploads).name == "ikerian-data-pipeline-test-data-processor-uploads" &&
      one(aws_sqs_queue.uploads).sqs_managed_sse_enabled &&
      one(aws_sqs_queue.uploads).message_retention_seconds == 1209600 &&
      one(aws_sqs_queue.uploads).visibility_timeout_seconds == 5400
    )
    error_message = "The queue must be encrypted, keep uploads for 14 days, and have a visibility timeout of six function timeouts."
  }
  assert {
    condition = (
      jsondecode(one(aws_sqs_queue.uploads).redrive_policy) == { deadLetterTargetArn = "arn:aws:sqs:eu-central-1:123456789012:failures", maxReceiveCount = 5 } &&
      jsondecode(one(aws_sqs_queue_redrive_allow_policy.failures).redrive_allow_policy) == { redrivePermission = "byQueue", sourceQueueArns = ["arn:aws:sqs:eu-central-1:123456789012:uploads"] }
    )
    error_message = "After five receives, a message must go to the failure queue, which must accept messages from this queue only."
  }
  assert {
    condition = { for s in jsondecode(one(aws_sqs_queue_policy.uploads).policy).Statement : s.Sid => [s.Effect, s.Principal, s.Condition] } == {
      OnlyTheRawBucketTellsOfUploads = ["Allow", { Service = "s3.amazonaws.com" }, {
        ArnEquals    = { "aws:SourceArn" = "arn:aws:s3:::raw" }
        StringEquals = { "aws:SourceAccount" = "123456789012" }
      }]
      NothingPassesUnencrypted = ["Deny", "*", { Bool = { "aws:SecureTransport" = "false" } }]
    }
    error_message = "The queue must accept messages of this account's raw bucket only, and refuse plain HTTP."
  }
  assert {
    condition = [for s in jsondecode(one(aws_iam_role_policy.receives_uploads).policy).Statement : [s.Action, s.Resource]] == [
      [["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], "arn:aws:sqs:eu-central-1:123456789012:uploads"],
    ]
    error_message = "The function may receive from its own queue only."
  }
}

run "ingest_must_be_one_of_two" {
  command = plan
  variables { ingest = "stream" }
  expect_failures = [var.ingest]
}

run "queue_batch_size_must_be_at_least_1" {
  command = plan
  variables { queue_batch_size = 0 }
  expect_failures = [var.queue_batch_size]
}

run "a_large_batch_requires_a_batching_window" {
  command = plan
  variables { queue_batch_size = 11 }
  expect_failures = [var.queue_batch_seconds]
}

run "queue_concurrency_must_be_supported_by_lambda" {
  command = plan
  variables { queue_concurrency = 1 }
  expect_failures = [var.queue_concurrency]
}

run "queue_concurrency_must_not_exceed_reserved_concurrency" {
  command = plan
  variables {
    ingest               = "queue"
    queue_concurrency    = 10
    reserved_concurrency = 9
  }
  expect_failures = [var.queue_concurrency]
}

run "the_functions_run_in_a_vpc_if_configured" {
  command = plan

  variables {
    vpc_cidr = "10.20.0.0/24"
  }

  assert {
    condition     = length(output.subnet_ids) == 2 && length(output.security_group_ids) == 1
    error_message = "The functions need two subnets and a security group."
  }
}

run "settings_for_operations_are_outputs" {
  command = plan

  variables {
    api_burst_limit            = 5
    api_rate_limit             = 2.5
    lambda_architecture        = "arm64"
    rejected_records_threshold = 7
    reserved_concurrency       = 9
  }

  assert {
    condition = [
      output.api_burst_limit, output.api_rate_limit, output.lambda_architecture, output.region,
      output.rejected_records_threshold, output.reserved_concurrency, output.stage,
    ] == [5, 2.5, "arm64", "eu-central-1", 7, 9, "test"]
    error_message = "The outputs must have the settings of the stage's file, for operations/ and .chalice/config.json."
  }
}

run "stage_must_fit_into_names" {
  command = plan
  variables { stage = "Dev_" }
  expect_failures = [var.stage]
}

run "stage_must_leave_room_in_bucket_names" {
  command = plan
  variables { stage = "seventeen-letters" }
  expect_failures = [var.stage]
}

run "stage_must_not_begin_like_function_names" {
  command = plan
  variables { stage = "data-pipeline-x" }
  expect_failures = [var.stage]
}

run "region_must_be_a_region" {
  command = plan
  variables { region = "Frankfurt" }
  expect_failures = [var.region]
}

run "log_retention_must_be_supported_by_cloudwatch" {
  command = plan
  variables { log_retention_days = 15 }
  expect_failures = [var.log_retention_days]
}

run "old_versions_are_kept_for_at_least_a_day" {
  command = plan
  variables { noncurrent_version_days = 0 }
  expect_failures = [var.noncurrent_version_days]
}

run "old_versions_are_kept_for_whole_days" {
  command = plan
  variables { noncurrent_version_days = 30.5 }
  expect_failures = [var.noncurrent_version_days]
}

run "rejected_objects_are_kept_for_at_least_a_day" {
  command = plan
  variables { rejected_object_days = 0 }
  expect_failures = [var.rejected_object_days]
}

run "rejected_objects_are_kept_for_whole_days" {
  command = plan
  variables { rejected_object_days = 1.5 }
  expect_failures = [var.rejected_object_days]
}

run "rejected_objects_are_not_kept_longer_than_uploads" {
  command = plan
  variables {
    noncurrent_version_days = 10
    rejected_object_days    = 11
  }
  expect_failures = [var.rejected_object_days]
}

run "kms_key_must_be_a_key_not_an_alias" {
  command = plan
  variables { kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/key" }
  expect_failures = [var.kms_key_arn]
}

run "permissions_boundary_must_be_a_policy" {
  command = plan
  variables { permissions_boundary_arn = "arn:aws:iam::123456789012:role/boundary" }
  expect_failures = [var.permissions_boundary_arn]
}

run "access_log_bucket_is_a_name_not_an_arn" {
  command = plan
  variables { access_log_bucket = "arn:aws:s3:::logs" }
  expect_failures = [var.access_log_bucket]
}

run "vpc_cidr_must_be_a_range" {
  command = plan
  variables { vpc_cidr = "10.20.0.0" }
  expect_failures = [var.vpc_cidr]
}

run "vpc_cidr_must_have_room_for_two_subnets" {
  command = plan
  variables { vpc_cidr = "10.20.0.0/28" }
  expect_failures = [var.vpc_cidr]
}

run "api_burst_limit_must_be_positive" {
  command = plan
  variables { api_burst_limit = 0 }
  expect_failures = [var.api_burst_limit]
}

run "api_burst_limit_must_be_whole" {
  command = plan
  variables { api_burst_limit = 1.5 }
  expect_failures = [var.api_burst_limit]
}

run "api_rate_limit_must_be_positive" {
  command = plan
  variables { api_rate_limit = 0 }
  expect_failures = [var.api_rate_limit]
}

run "rejected_records_threshold_is_not_negative" {
  command = plan
  variables { rejected_records_threshold = -1 }
  expect_failures = [var.rejected_records_threshold]
}

run "rejected_records_threshold_must_be_whole" {
  command = plan
  variables { rejected_records_threshold = 0.5 }
  expect_failures = [var.rejected_records_threshold]
}

run "uploads_are_kept_for_at_least_a_day" {
  command = plan
  variables { raw_object_days = 0 }
  expect_failures = [var.raw_object_days]
}

run "uploads_are_kept_for_whole_days" {
  command = plan
  variables { raw_object_days = 1.5 }
  expect_failures = [var.raw_object_days]
}

run "published_objects_are_kept_for_at_least_a_day" {
  command = plan
  variables { processed_object_days = 0 }
  expect_failures = [var.processed_object_days]
}

run "published_objects_are_kept_for_whole_days" {
  command = plan
  variables { processed_object_days = 1.5 }
  expect_failures = [var.processed_object_days]
}

run "lambda_architecture_must_be_supported_by_lambda" {
  command = plan
  variables { lambda_architecture = "aarch64" }
  expect_failures = [var.lambda_architecture]
}

run "reserved_concurrency_must_be_positive" {
  command = plan
  variables { reserved_concurrency = 0 }
  expect_failures = [var.reserved_concurrency]
}

run "reserved_concurrency_must_be_whole" {
  command = plan
  variables { reserved_concurrency = 2.5 }
  expect_failures = [var.reserved_concurrency]
}
