locals {
  # The same list as METRICS in chalicelib/log_events.py; a test compares the two.
  metric_names = [
    "BytesRead",
    "DocumentsFailed",
    "Duration",
    "MessagesFailed",
    "ObjectsEmpty",
    "ObjectsFailed",
    "ObjectsMalformed",
    "ObjectsMissing",
    "ObjectsProcessed",
    "ObjectsRefused",
    "ObjectsRepaired",
    "ObjectsUnchanged",
    "RecordsExtracted",
    "RecordsRejected",
    "RecordsUnreadable",
  ]
  metrics = { for name in local.metric_names : name => name }

  functions = {
    api            = local.api_name
    data-processor = local.data_processor_name
  }

  # Only with an upload queue.
  queue_alarms = {
    failed-messages = {
      meaning    = "Some uploads of a batch failed. They are retried after 90 minutes. The function's log says why."
      namespace  = local.application
      metric     = local.metrics.MessagesFailed
      dimensions = { function_name = local.data_processor_name }
      statistic  = "Sum"
      above      = 0
    }
    waiting-uploads = {
      meaning    = "An upload has waited for more than an hour. Either queue_concurrency is too low for the load, or an upload failed and waits for its retry."
      namespace  = "AWS/SQS"
      metric     = "ApproximateAgeOfOldestMessage"
      dimensions = { QueueName = local.upload_queue_name }
      statistic  = "Maximum"
      above      = 60 * 60
    }
  }

  alarms = merge(
    { for label, alarm in local.queue_alarms : label => alarm if local.by_queue },
    {
      for label, function in local.functions : "${label}-errors" => {
        meaning    = "The function ${label} failed. Its log says why."
        namespace  = "AWS/Lambda"
        metric     = "Errors"
        dimensions = { FunctionName = function }
        statistic  = "Sum"
        above      = 0
      }
    },
    {
      for label, function in local.functions : "${label}-throttles" => {
        meaning    = "The function ${label} was throttled. Its reserved concurrency or the account's concurrency is used up."
        namespace  = "AWS/Lambda"
        metric     = "Throttles"
        dimensions = { FunctionName = function }
        statistic  = "Sum"
        above      = 0
      }
    },
    {
      near-timeout = {
        meaning    = "An upload took more than 80 % of data-processor's timeout. Larger ones will fail."
        namespace  = "AWS/Lambda"
        metric     = "Duration"
        dimensions = { FunctionName = local.data_processor_name }
        statistic  = "Maximum"
        above      = 0.8 * var.timeout_seconds * 1000
      }
      failed-uploads = {
        meaning    = "Uploads failed after all retries and wait in the failure queue for a redrive."
        namespace  = "AWS/SQS"
        metric     = "ApproximateNumberOfMessagesVisible"
        dimensions = { QueueName = local.failure_queue_name }
        statistic  = "Maximum"
        above      = 0
      }
      lost-failures = {
        meaning    = "Lambda could not send a failed event to the failure queue. The upload is only in the raw bucket."
        namespace  = "AWS/Lambda"
        metric     = "DestinationDeliveryFailures"
        dimensions = { FunctionName = local.data_processor_name }
        statistic  = "Sum"
        above      = 0
      }
      failed-documents = {
        meaning    = "POST /process answered 500. The API function's log says why."
        namespace  = local.application
        metric     = local.metrics.DocumentsFailed
        dimensions = { function_name = local.api_name }
        statistic  = "Sum"
        above      = 0
      }
      malformed-objects = {
        meaning    = "An upload as a whole could not be parsed, or none of its records is valid. The rejected bucket has the reason."
        namespace  = local.application
        metric     = local.metrics.ObjectsMalformed
        dimensions = { function_name = local.data_processor_name }
        statistic  = "Sum"
        above      = 0
      }
      rejected-records = {
        meaning    = "More records than rejected_records_threshold were rejected. The rejected bucket has them, with the reasons."
        namespace  = local.application
        metric     = local.metrics.RecordsRejected
        dimensions = { function_name = local.data_processor_name }
        statistic  = "Sum"
        above      = var.rejected_records_threshold
      }
      failed-objects = {
        meaning    = "An object could not be processed, alone or in a replay. A replay continues with the other objects. The log says why."
        namespace  = local.application
        metric     = local.metrics.ObjectsFailed
        dimensions = { function_name = local.data_processor_name }
        statistic  = "Sum"
        above      = 0
      }
      failed-replays = {
        meaning    = "A replay stopped. Too many of its batches failed, or it could not read its manifest or write its results."
        namespace  = "AWS/States"
        metric     = "ExecutionsFailed"
        dimensions = { StateMachineArn = local.replay_arn }
        statistic  = "Sum"
        above      = 0
      }
      repaired-objects = {
        meaning    = "A scheduled replay published objects. Either their events were lost, or the extraction has changed."
        namespace  = local.application
        metric     = local.metrics.ObjectsRepaired
        dimensions = { function_name = local.data_processor_name }
        statistic  = "Sum"
        above      = 0
      }
    },
  )

  queue_graphs = [
    {
      title = "Upload queue"
      lines = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.upload_queue_name, { label = "uploads waiting", stat = "Maximum" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", local.upload_queue_name, { label = "in flight, or waiting for a retry", stat = "Maximum" }],
      ]
    },
    {
      title = "Age of the oldest upload in the queue"
      lines = [
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.upload_queue_name, { label = "seconds", stat = "Maximum" }],
      ]
    },
  ]

  # Title, and lines: namespace, metric, dimension name and value, display options.
  graphs = [
    {
      title = "Outcomes of uploads"
      lines = [
        ["AWS/Lambda", "Invocations", "FunctionName", local.data_processor_name, { label = "uploads (with retries)" }],
        [local.application, local.metrics.ObjectsProcessed, "function_name", local.data_processor_name, { label = "published" }],
        [local.application, local.metrics.ObjectsUnchanged, "function_name", local.data_processor_name, { label = "unchanged" }],
        [local.application, local.metrics.ObjectsMalformed, "function_name", local.data_processor_name, { label = "malformed or refused" }],
        [local.application, local.metrics.ObjectsRefused, "function_name", local.data_processor_name, { label = "refused" }],
        [local.application, local.metrics.ObjectsEmpty, "function_name", local.data_processor_name, { label = "empty" }],
        [local.application, local.metrics.ObjectsMissing, "function_name", local.data_processor_name, { label = "missing" }],
        [local.application, local.metrics.ObjectsRepaired, "function_name", local.data_processor_name, { label = "repaired by schedule" }],
      ]
    },
    {
      title = "Records"
      lines = [
        [local.application, local.metrics.RecordsExtracted, "function_name", local.data_processor_name, { label = "extracted" }],
        [local.application, local.metrics.RecordsRejected, "function_name", local.data_processor_name, { label = "rejected" }],
      ]
    },
    {
      title = "Errors and throttles"
      lines = [
        ["AWS/Lambda", "Errors", "FunctionName", local.data_processor_name, { label = "data-processor errors" }],
        ["AWS/Lambda", "Throttles", "FunctionName", local.data_processor_name, { label = "data-processor throttles" }],
        ["AWS/Lambda", "Errors", "FunctionName", local.api_name, { label = "API errors" }],
        [local.application, local.metrics.DocumentsFailed, "function_name", local.api_name, { label = "API responses with status 500" }],
        [local.application, local.metrics.ObjectsFailed, "function_name", local.data_processor_name, { label = "failed objects" }],
        [local.application, local.metrics.RecordsUnreadable, "function_name", local.data_processor_name, { label = "events without an object" }],
        ["AWS/Lambda", "Throttles", "FunctionName", local.api_name, { label = "API throttles" }],
      ]
    },
    {
      title = "Failure queue"
      lines = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.failure_queue_name, { label = "failed uploads waiting", stat = "Maximum" }],
      ]
    },
    {
      title = "Milliseconds per upload"
      lines = [
        [local.application, local.metrics.Duration, "function_name", local.data_processor_name, { label = "p50", stat = "p50" }],
        [local.application, local.metrics.Duration, "function_name", local.data_processor_name, { label = "p99", stat = "p99" }],
      ]
    },
    {
      title = "Bytes read"
      lines = [
        [local.application, local.metrics.BytesRead, "function_name", local.data_processor_name, { label = "data-processor" }],
        [local.application, local.metrics.BytesRead, "function_name", local.api_name, { label = "API" }],
      ]
    },
  ]
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  # A stage's name contains no dot. So the prefix in the policies matches the alarms of this stage only.
  alarm_name          = "${local.api_name}.${each.key}"
  alarm_description   = each.value.meaning
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.api_name

  dashboard_body = jsonencode({
    widgets = [
      for position, graph in concat(local.graphs, [for graph in local.queue_graphs : graph if local.by_queue]) : {
        type   = "metric"
        x      = position % 2 * 12
        y      = floor(position / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = graph.title
          region  = var.region
          metrics = graph.lines
          period  = 300
          stat    = "Sum"
          view    = "timeSeries"
        }
      }
    ]
  })
}
