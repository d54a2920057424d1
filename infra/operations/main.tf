# What the deployed app is operated with, applied after `chalice deploy`: failure destination, upload queue's
# mapping, API throttle, alarms, dashboard. The foundation's outputs come in as variables: `deploy` has read them anyway, and a
# remote state would need just as many, to say where it is.

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

  # Chalice names its functions so.
  api_name            = "${local.application}-${var.stage}"
  data_processor_name = "${local.application}-${var.stage}-data-processor"
  failure_queue_name  = element(split(":", var.failure_queue_arn), 5)
  account             = element(split(":", var.alarm_topic_arn), 4)
  replay_arn          = "arn:aws:states:${var.region}:${local.account}:stateMachine:${local.api_name}-replay"
  by_queue            = var.upload_queue_arn != ""
  upload_queue_name   = "${local.data_processor_name}-uploads"
}
