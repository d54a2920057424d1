# Applied once per account: the bucket for the Terraform state of every stage and, if a repository is configured, the
# roles in which GitHub Actions deploys. Its own state is a file in this directory: keep it.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { application = "ikerian-data-pipeline" }
  }
}

data "aws_caller_identity" "current" {}

module "state_bucket" {
  source = "../modules/bucket"

  # The account's number makes the name unique, and lets `deploy` derive it.
  name                    = "ikerian-data-pipeline-state-${data.aws_caller_identity.current.account_id}"
  force_destroy           = var.force_destroy
  noncurrent_version_days = 365
}
