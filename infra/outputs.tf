output "alarm_topic_arn" {
  description = "ARN of the SNS topic that alarms notify; for operations/."
  value       = aws_sns_topic.alarms.arn
}

output "api_burst_limit" {
  description = "API throttling: burst limit, in requests; for operations/."
  value       = var.api_burst_limit
}

output "api_rate_limit" {
  description = "API throttling: steady rate, in requests per second; for operations/."
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
  description = "ARN of the failure queue; for operations/."
  value       = aws_sqs_queue.failures.arn
}

output "lambda_architecture" {
  description = "Processor architecture of the functions; for .chalice/config.json."
  value       = var.lambda_architecture
}

output "operations_bucket_name" {
  description = "Name of the bucket with manifests and results of replays. They contain keys of uploads."
  value       = module.operations_bucket.name
}

output "processed_data_bucket_name" {
  description = "Name of the bucket with the published objects."
  value       = module.processed_bucket.name
}

output "queue_batch_seconds" {
  description = "Seconds that Lambda waits to fill a batch; for operations/."
  value       = var.queue_batch_seconds
}

output "queue_batch_size" {
  description = "Maximum number of uploads in one invocation; for operations/."
  value       = var.queue_batch_size
}

output "queue_concurrency" {
  description = "Maximum number of concurrent invocations by the upload queue; for operations/."
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
  description = "Name of the bucket with rejected records and the reasons."
  value       = module.rejected_bucket.name
}

output "rejected_records_threshold" {
  description = "The alarm rings if more records are rejected within five minutes; for operations/."
  value       = var.rejected_records_threshold
}

output "reserved_concurrency" {
  description = "Reserved concurrency of data-processor, for .chalice/config.json; null if there is no limit."
  value       = var.reserved_concurrency
}

output "security_group_ids" {
  description = "Security groups of the functions; empty without a VPC."
  value       = module.network[*].security_group_id
}

output "stage" {
  description = "Name of the stage."
  value       = var.stage
}

output "subnet_ids" {
  description = "Subnets of the functions; empty without a VPC."
  value       = flatten(module.network[*].subnet_ids)
}

output "upload_queue_arn" {
  description = "ARN of the upload queue; empty if S3 invokes the function directly. For .chalice/config.json and operations/."
  value       = join("", aws_sqs_queue.uploads[*].arn)
}

output "upload_queue_url" {
  description = "URL of the upload queue."
  value       = join("", aws_sqs_queue.uploads[*].url)
}
