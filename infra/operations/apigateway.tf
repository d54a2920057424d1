resource "aws_api_gateway_method_settings" "every_method" {
  # checkov:skip=CKV_AWS_225:Answers hold patients; they are not for keeping in a cache.
  # checkov:skip=CKV_AWS_308:Likewise.
  rest_api_id = var.rest_api_id
  stage_name  = "api" # Chalice's default
  method_path = "*/*"

  settings {
    throttling_burst_limit = var.api_burst_limit
    throttling_rate_limit  = var.api_rate_limit

    # The function logs its requests and knows what must not be logged; the gateway does not.
    data_trace_enabled = false
    logging_level      = "OFF"
  }
}
