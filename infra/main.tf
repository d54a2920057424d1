# The foundation, applied before `chalice deploy`: buckets, roles, log groups, failure queue, alarm topic.
# operations/ has what needs the deployed application, bootstrap/ what must exist before any Terraform state.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # Bucket, region and key depend on the stage. They come from env/<stage>.s3.tfbackend and from `deploy`.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      application = local.application
      stage       = var.stage
    }
  }
}

locals {
  application = "ikerian-data-pipeline"

  # Chalice gives the functions these names; their log groups have the same ones.
  api_name            = "${local.application}-${var.stage}"
  data_processor_name = "${local.application}-${var.stage}-data-processor"
}
