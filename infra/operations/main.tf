# Applied after `chalice deploy`: failure destination, mapping of the upload queue, API throttling, alarms,
# dashboard. The foundation's outputs are variables here, because `deploy` reads them anyway. A remote state would
# require as many settings.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

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

  # Chalice gives the functions these names.
  api_name            = "${local.application}-${var.stage}"
  data_processor_name = "${local.application}-${var.stage}-data-processor"
  failure_queue_name  = element(split(":", var.failure_queue_arn), 5)
  account             = element(split(":", var.alarm_topic_arn), 4)
  replay_arn          = "arn:aws:states:${var.region}:${local.account}:stateMachine:${local.api_name}-replay"
  by_queue            = var.upload_queue_arn != ""
  upload_queue_name   = "${local.data_processor_name}-uploads"
}
