# What the foundation promises, checked on a plan with a mocked provider: no account, no network.

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
    target = aws_sns_topic.alarms
    values = { arn = "arn:aws:sns:eu-central-1:123456789012:alarms" }
  }
}

variables {
  stage  = "test"
  region = "eu-central-1"
}

run "names_are_those_that_chalice_and_deploy_look_for" {
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
    error_message = "There is no network unless one is asked for."
  }
}

run "data_processor_may_do_what_it_does_and_no_more" {
  command = plan

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.publishes_uploads.policy).Statement : s.Sid => [s.Action, s.Resource] } == {
      SeesWhetherAnObjectExists = ["s3:ListBucket", ["arn:aws:s3:::raw", "arn:aws:s3:::processed"]]
      ReadsUploads              = ["s3:GetObject", "arn:aws:s3:::raw/*"]
      ReplacesWhatIsPublished   = [["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], "arn:aws:s3:::processed/*"]
      WritesWhatIsRejected      = [["s3:AbortMultipartUpload", "s3:PutObject"], "arn:aws:s3:::rejected/*"]
      SendsFailuresToTheirQueue = ["sqs:SendMessage", "arn:aws:sqs:eu-central-1:123456789012:failures"]
    }
    error_message = "data-processor's policy has changed: mend this promise as well, if that was meant."
  }
  assert {
    condition     = length(aws_iam_role_policy.uses_the_key) == 0
    error_message = "Without a KMS key there is nothing to grant."
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
    error_message = "Uploads are decrypted, the other two buckets' objects encrypted too."
  }
  assert {
    condition = alltrue([
      for s in jsondecode(aws_iam_role_policy.uses_the_key[0].policy).Statement :
      s.Resource == var.kms_key_arn && s.Condition.StringEquals["kms:ViaService"] == "s3.eu-central-1.amazonaws.com"
    ])
    error_message = "The key is granted through S3 only, and no other key."
  }
}

run "only_alarms_of_this_stage_ring_the_topic" {
  command = plan

  assert {
    condition     = jsondecode(aws_sns_topic_policy.alarms.policy).Statement[0].Condition.ArnLike["aws:SourceArn"] == "arn:*:cloudwatch:eu-central-1:123456789012:alarm:ikerian-data-pipeline-test.*"
    error_message = "The topic must take alarms of this stage and nothing else."
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

run "the_functions_run_in_a_private_network_when_asked" {
  command = plan

  variables {
    vpc_cidr = "10.20.0.0/24"
  }

  assert {
    condition     = length(output.subnet_ids) == 2 && length(output.security_group_ids) == 1
    error_message = "The functions need two subnets and a security group."
  }
}

run "what_a_stage_sets_for_operations_is_handed_on" {
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
    error_message = "operations/ and .chalice/config.json are told what the stage's file sets."
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

run "stage_must_not_begin_as_the_functions_do" {
  command = plan
  variables { stage = "data-pipeline-x" }
  expect_failures = [var.stage]
}

run "region_must_be_one" {
  command = plan
  variables { region = "Frankfurt" }
  expect_failures = [var.region]
}

run "log_retention_must_be_one_that_cloudwatch_offers" {
  command = plan
  variables { log_retention_days = 15 }
  expect_failures = [var.log_retention_days]
}

run "old_versions_are_kept_for_a_day_at_least" {
  command = plan
  variables { noncurrent_version_days = 0 }
  expect_failures = [var.noncurrent_version_days]
}

run "old_versions_are_kept_for_whole_days" {
  command = plan
  variables { noncurrent_version_days = 30.5 }
  expect_failures = [var.noncurrent_version_days]
}

run "rejected_objects_are_kept_for_a_day_at_least" {
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

run "api_burst_limit_must_let_something_in" {
  command = plan
  variables { api_burst_limit = 0 }
  expect_failures = [var.api_burst_limit]
}

run "api_burst_limit_must_be_whole" {
  command = plan
  variables { api_burst_limit = 1.5 }
  expect_failures = [var.api_burst_limit]
}

run "api_rate_limit_must_let_something_in" {
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

run "uploads_are_kept_for_a_day_at_least" {
  command = plan
  variables { raw_object_days = 0 }
  expect_failures = [var.raw_object_days]
}

run "uploads_are_kept_for_whole_days" {
  command = plan
  variables { raw_object_days = 1.5 }
  expect_failures = [var.raw_object_days]
}

run "what_is_published_is_kept_for_a_day_at_least" {
  command = plan
  variables { processed_object_days = 0 }
  expect_failures = [var.processed_object_days]
}

run "what_is_published_is_kept_for_whole_days" {
  command = plan
  variables { processed_object_days = 1.5 }
  expect_failures = [var.processed_object_days]
}

run "lambda_architecture_must_be_one_that_lambda_has" {
  command = plan
  variables { lambda_architecture = "aarch64" }
  expect_failures = [var.lambda_architecture]
}

run "reserved_concurrency_must_let_something_in" {
  command = plan
  variables { reserved_concurrency = 0 }
  expect_failures = [var.reserved_concurrency]
}

run "reserved_concurrency_must_be_whole" {
  command = plan
  variables { reserved_concurrency = 2.5 }
  expect_failures = [var.reserved_concurrency]
}
