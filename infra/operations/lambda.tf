resource "aws_lambda_function_event_invoke_config" "data_processor" {
  function_name                = local.data_processor_name
  maximum_event_age_in_seconds = 6 * 60 * 60
  maximum_retry_attempts       = 2

  destination_config {
    on_failure {
      destination = var.failure_queue_arn
    }
  }
}

resource "aws_lambda_event_source_mapping" "uploads" {
  count = local.by_queue ? 1 : 0

  event_source_arn                   = var.upload_queue_arn
  function_name                      = local.data_processor_name
  batch_size                         = var.queue_batch_size
  maximum_batching_window_in_seconds = var.queue_batch_seconds

  # The function returns the ids of the messages that failed: chalicelib/queues.py.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.queue_concurrency
  }
}
