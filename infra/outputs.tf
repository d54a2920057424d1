output "alarm_topic_arn" {
  description = "ARN of the SNS topic that alarms ring; for operations/."
  value       = aws_sns_topic.alarms.arn
}

output "api_burst_limit" {
  description = "Requests that the API takes at once; for operations/."
  value       = var.api_burst_limit
}

output "api_rate_limit" {
  description = "Requests a second that the API takes in the long run; for operations/."
  value       = var.api_rate_limit
}

output "api_role_arn" {
  description = "ARN of the API function's role."
  value       = module.api.role_arn
}

output "data_processor_role_arn" {
  description = "ARN of data-processor's role."
  value       = module.data_processor.role_arn
}

output "failure_queue_arn" {
  description = "ARN of the queue of uploads that failed for good; for operations/."
  value       = aws_sqs_queue.failures.arn
}

output "lambda_architecture" {
  description = "Processor of the functions, for .chalice/config.json."
  value       = var.lambda_architecture
}

output "operations_bucket_name" {
  description = "Name of the bucket that holds manifests and results of replays: keys of uploads."
  value       = module.operations_bucket.name
}

output "processed_data_bucket_name" {
  description = "Name of the bucket that holds what is published."
  value       = module.processed_bucket.name
}

output "queue_batch_seconds" {
  description = "Seconds that Lambda waits for a batch of uploads to fill; for operations/."
  value       = var.queue_batch_seconds
}

output "queue_batch_size" {
  description = "Uploads in one invocation at most; for operations/."
  value       = var.queue_batch_size
}

output "queue_concurrency" {
  description = "Invocations at once at most; for operations/."
  value       = var.queue_concurrency
}

output "raw_data_bucket_name" {
  description = "Name of the bucket to upload to."
  value       = module.raw_bucket.name
}

output "region" {
  description = "AWS region of the stage."
  value       = var.region
}

output "rejected_data_bucket_name" {
  description = "Name of the bucket that holds what was rejected, with the reasons."
  value       = module.rejected_bucket.name
}

output "rejected_records_threshold" {
  description = "Records that may be rejected in five minutes before the alarm rings; for operations/."
  value       = var.rejected_records_threshold
}

output "reserved_concurrency" {
  description = "Uploads that are worked on at once, for .chalice/config.json; no output where there is no limit."
  value       = var.reserved_concurrency
}

output "security_group_ids" {
  description = "Security groups of the functions; empty outside a VPC."
  value       = module.network[*].security_group_id
}

output "stage" {
  description = "Name of the stage."
  value       = var.stage
}

output "subnet_ids" {
  description = "Subnets of the functions; empty outside a VPC."
  value       = flatten(module.network[*].subnet_ids)
}

output "upload_queue_arn" {
  description = "ARN of the queue in which uploads wait; empty where S3 invokes the function. For .chalice/config.json and operations/."
  value       = join("", aws_sqs_queue.uploads[*].arn)
}

output "upload_queue_url" {
  description = "URL of that queue."
  value       = join("", aws_sqs_queue.uploads[*].url)
}
