# Tests of operations, on a plan with a mocked provider: no account, no network.

mock_provider "aws" {
  override_during = plan
}

variables {
  alarm_topic_arn            = "arn:aws:sns:eu-central-1:123456789012:alarms"
  api_burst_limit            = 5
  api_rate_limit             = 2.5
  failure_queue_arn          = "arn:aws:sqs:eu-central-1:123456789012:failures"
  queue_batch_seconds        = 2
  queue_batch_size           = 20
  queue_concurrency          = 30
  region                     = "eu-central-1"
  rejected_records_threshold = 7
  rest_api_id                = "a1b2c3d4e5"
  stage                      = "test"
  timeout_seconds            = 300
  upload_queue_arn           = ""
}

run "a_failed_upload_is_tried_three_times_and_then_kept" {
  command = plan

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.data_processor.maximum_retry_attempts == 2 &&
      one(one(aws_lambda_function_event_invoke_config.data_processor.destination_config).on_failure).destination == var.failure_queue_arn
    )
    error_message = "There must be two retries, then the failure queue."
  }
}

run "the_api_is_throttled_and_logs_no_bodies" {
  command = plan

  assert {
    condition = (
      one(aws_api_gateway_method_settings.every_method.settings).throttling_burst_limit == 5 &&
      one(aws_api_gateway_method_settings.every_method.settings).throttling_rate_limit == 2.5
    )
    error_message = "The limits must be the configured ones."
  }
  assert {
    condition = (
      !one(aws_api_gateway_method_settings.every_method.settings).data_trace_enabled &&
      one(aws_api_gateway_method_settings.every_method.settings).logging_level == "OFF"
    )
    error_message = "API Gateway must not log request bodies."
  }
}

run "alarms_notify_the_topic_and_watch_this_stage" {
  command = plan

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset([
      "api-errors", "api-throttles", "data-processor-errors", "data-processor-throttles", "failed-documents", "failed-objects",
      "failed-replays", "failed-uploads", "lost-failures", "malformed-objects", "near-timeout", "rejected-records", "repaired-objects",
    ])
    error_message = "An alarm is missing, or this test does not list it."
  }
  assert {
    condition = alltrue([
      for key, alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_actions == toset([var.alarm_topic_arn]) && alarm.alarm_name == "ikerian-data-pipeline-test.${key}"
    ])
    error_message = "Every alarm must notify the topic, and have a name that the topic's policy accepts."
  }
  assert {
    condition = { for key, alarm in aws_cloudwatch_metric_alarm.this : key => alarm.dimensions.function_name if alarm.namespace == "ikerian-data-pipeline" } == {
      failed-documents  = "ikerian-data-pipeline-test"
      failed-objects    = "ikerian-data-pipeline-test-data-processor"
      malformed-objects = "ikerian-data-pipeline-test-data-processor"
      rejected-records  = "ikerian-data-pipeline-test-data-processor"
      repaired-objects  = "ikerian-data-pipeline-test-data-processor"
    }
    error_message = "Our own metrics must have one dimension, function_name."
  }
  assert {
    condition = aws_cloudwatch_metric_alarm.this["failed-replays"].dimensions == tomap({
      StateMachineArn = "arn:aws:states:eu-central-1:123456789012:stateMachine:ikerian-data-pipeline-test-replay"
    })
    error_message = "The alarm must watch the state machine of the stage."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["near-timeout"].threshold == 240000
    error_message = "The alarm must ring at 80 % of the timeout."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["rejected-records"].threshold == 7
    error_message = "The alarm must ring above the configured threshold."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["failed-uploads"].dimensions == tomap({ QueueName = "failures" })
    error_message = "The alarm must watch the failure queue."
  }
}

run "the_dashboard_is_complete" {
  command = plan

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 6
    error_message = "The dashboard must have six graphs."
  }
}

run "a_function_that_s3_invokes_has_no_mapping" {
  command = plan

  assert {
    condition     = length(aws_lambda_event_source_mapping.uploads) == 0
    error_message = "Without an upload queue there must be no mapping."
  }
}

run "an_upload_queue_is_mapped_as_configured_and_watched" {
  command = plan
  variables { upload_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:ikerian-data-pipeline-test-data-processor-uploads" }

  assert {
    condition = (
      one(aws_lambda_event_source_mapping.uploads).event_source_arn == var.upload_queue_arn &&
      one(aws_lambda_event_source_mapping.uploads).function_name == "ikerian-data-pipeline-test-data-processor" &&
      one(aws_lambda_event_source_mapping.uploads).batch_size == 20 &&
      one(aws_lambda_event_source_mapping.uploads).maximum_batching_window_in_seconds == 2 &&
      one(one(aws_lambda_event_source_mapping.uploads).scaling_config).maximum_concurrency == 30
    )
    error_message = "Batches and concurrency must be the configured ones."
  }
  assert {
    condition     = one(aws_lambda_event_source_mapping.uploads).function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "Lambda must request partial batch responses. Otherwise it deletes failed messages, too."
  }
  assert {
    condition = {
      for key, alarm in aws_cloudwatch_metric_alarm.this : key => alarm.dimensions
      if contains(["failed-messages", "waiting-uploads"], key)
      } == {
      failed-messages = tomap({ function_name = "ikerian-data-pipeline-test-data-processor" })
      waiting-uploads = tomap({ QueueName = "ikerian-data-pipeline-test-data-processor-uploads" })
    }
    error_message = "Two more alarms must watch the queue and failures in its batches."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["waiting-uploads"].namespace == "AWS/SQS" &&
      aws_cloudwatch_metric_alarm.this["waiting-uploads"].metric_name == "ApproximateAgeOfOldestMessage" &&
      aws_cloudwatch_metric_alarm.this["waiting-uploads"].statistic == "Maximum" &&
      aws_cloudwatch_metric_alarm.this["waiting-uploads"].threshold == 3600
    )
    error_message = "The alarm must ring if the oldest upload has waited for more than an hour."
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 8
    error_message = "The dashboard must have two more graphs."
  }
  assert {
    condition = {
      for widget in slice(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets, 6, 8) :
      widget.properties.title => [for line in widget.properties.metrics : slice(line, 0, 4)]
      } == {
      "Upload queue" = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "ikerian-data-pipeline-test-data-processor-uploads"],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", "ikerian-data-pipeline-test-data-processor-uploads"],
      ]
      "Age of the oldest upload in the queue" = [
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "ikerian-data-pipeline-test-data-processor-uploads"],
      ]
    }
    error_message = "The graphs must show the messages and the age of the upload queue."
  }
}

run "upload_queue_must_be_a_queue" {
  command = plan
  variables { upload_queue_arn = "https://sqs.eu-central-1.amazonaws.com/123456789012/uploads" }
  expect_failures = [var.upload_queue_arn]
}

run "alarm_topic_must_be_a_topic" {
  command = plan
  variables { alarm_topic_arn = "alarms" }
  expect_failures = [var.alarm_topic_arn]
}

run "failure_queue_must_be_a_queue" {
  command = plan
  variables { failure_queue_arn = "https://sqs.eu-central-1.amazonaws.com/123456789012/failures" }
  expect_failures = [var.failure_queue_arn]
}

run "region_must_be_a_region" {
  command = plan
  variables { region = "Frankfurt" }
  expect_failures = [var.region]
}

run "rest_api_must_be_an_id" {
  command = plan
  variables { rest_api_id = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com" }
  expect_failures = [var.rest_api_id]
}

run "stage_must_fit_into_names" {
  command = plan
  variables { stage = "Dev_" }
  expect_failures = [var.stage]
}

run "timeout_must_be_supported_by_lambda" {
  command = plan
  variables { timeout_seconds = 901 }
  expect_failures = [var.timeout_seconds]
}
