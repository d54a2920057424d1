# What the app stands on, applied before `chalice deploy`: buckets, roles, log groups, failure queue, alarm topic.
# What needs the deployed app is in operations/; what must exist before any state is in bootstrap/.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # Bucket, region and key differ from stage to stage: env/<stage>.s3.tfbackend and `deploy` say them.
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

  # Chalice names its functions so, and with them their log groups.
  api_name            = "${local.application}-${var.stage}"
  data_processor_name = "${local.application}-${var.stage}-data-processor"
}
