# Applies a whole stage with a mocked provider, which creates nothing. tests/test_terraform.py runs it with each
# <stage>.tfvars, and tests/test_policies.py reads the policies of the stage from it.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b"] }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }
  mock_resource "aws_sfn_state_machine" {
    defaults = { arn = "arn:aws:states:eu-central-1:123456789012:stateMachine:machine" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:queue" }
  }
  override_resource {
    target = aws_sqs_queue.uploads
    values = { arn = "arn:aws:sqs:eu-central-1:123456789012:uploads" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:topic" }
  }
}

variables {
  account           = "123456789012"
  boundary_arn      = "arn:aws:iam::123456789012:policy/boundary"
  alarm_topic_arn   = "arn:aws:sns:eu-central-1:123456789012:alarms"
  failure_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:failures"
  owner_id          = 12
  provider_arn      = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  repository        = "somebody/data-pipeline"
  repository_id     = 345
  rest_api_id       = "a1b2c3d4e5"
  state_bucket_arn  = "arn:aws:s3:::ikerian-data-pipeline-state-123456789012"
  timeout_seconds   = 900
}

run "the_foundation_can_be_created" {
  command = apply
}

run "operations_can_be_created" {
  command = apply

  module {
    source = "./operations"
  }
  variables {
    api_burst_limit            = run.the_foundation_can_be_created.api_burst_limit
    api_rate_limit             = run.the_foundation_can_be_created.api_rate_limit
    queue_batch_seconds        = run.the_foundation_can_be_created.queue_batch_seconds
    queue_batch_size           = run.the_foundation_can_be_created.queue_batch_size
    queue_concurrency          = run.the_foundation_can_be_created.queue_concurrency
    rejected_records_threshold = run.the_foundation_can_be_created.rejected_records_threshold
    upload_queue_arn           = run.the_foundation_can_be_created.upload_queue_arn
  }
}

run "the_deployer_can_be_created" {
  command = apply

  module {
    source = "./modules/deployer"
  }
}

run "the_boundary_can_be_created" {
  command = apply

  module {
    source = "./modules/boundary"
  }
}
