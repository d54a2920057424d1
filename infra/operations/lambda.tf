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
