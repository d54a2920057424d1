variable "alarm_topic_arn" {
  description = "ARN of the SNS topic that alarms notify: the foundation's output."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be the ARN of an SNS topic: `terraform output alarm_topic_arn` of the foundation."
  }
}

variable "api_burst_limit" {
  description = "Burst limit of the API, in requests: the foundation's output."
  type        = number
}

variable "api_rate_limit" {
  description = "Steady rate limit of the API, in requests per second: the foundation's output."
  type        = number
}

variable "failure_queue_arn" {
  description = "ARN of the failure queue: the foundation's output."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:.+$", var.failure_queue_arn))
    error_message = "failure_queue_arn must be the ARN of an SQS queue: `terraform output failure_queue_arn` of the foundation."
  }
}

variable "queue_batch_seconds" {
  description = "Seconds that Lambda waits to fill a batch: the foundation's output."
  type        = number
}

variable "queue_batch_size" {
  description = "Maximum number of uploads in one invocation: the foundation's output."
  type        = number
}

variable "queue_concurrency" {
  description = "Maximum number of concurrent invocations by the upload queue: the foundation's output."
  type        = number
}

variable "region" {
  description = "AWS region of the stage."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as eu-central-1."
  }
}

variable "rejected_records_threshold" {
  description = "The alarm rings if more records are rejected within five minutes: the foundation's output."
  type        = number
}

variable "rest_api_id" {
  description = "Id of the REST API that Chalice deployed, as in .chalice/deployed/<stage>.json."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.rest_api_id))
    error_message = "rest_api_id must be the id of a REST API, such as a1b2c3d4e5: lower-case letters and digits."
  }
}

variable "stage" {
  description = "Name of the stage, as in .chalice/config.json."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.stage))
    error_message = "stage must be 2 to 16 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "timeout_seconds" {
  description = "Timeout of data-processor, as in .chalice/config.json."
  type        = number

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be a whole number of seconds from 1 to 900, which is Lambda's limit."
  }
}

variable "upload_queue_arn" {
  description = "ARN of the upload queue; empty if S3 invokes the function directly: the foundation's output."
  type        = string

  validation {
    condition     = var.upload_queue_arn == "" || can(regex("^arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:.+$", var.upload_queue_arn))
    error_message = "upload_queue_arn must be the ARN of an SQS queue, or empty: `terraform output upload_queue_arn` of the foundation."
  }
}
