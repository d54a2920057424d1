mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  region = "eu-central-1"
}

run "the_state_bucket_is_named_for_the_account" {
  command = plan

  assert {
    condition     = output.state_bucket_name == "ikerian-data-pipeline-state-123456789012"
    error_message = "`deploy` looks for the state bucket under this name."
  }
}

run "region_must_be_one" {
  command = plan
  variables { region = "Frankfurt" }
  expect_failures = [var.region]
}
