# Every stage here can be planned: tests/test_terraform.py runs this with each <stage>.tfvars.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  override_during = plan
}

run "the_stage_can_be_planned" {
  command = plan
}
