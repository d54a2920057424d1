resource "aws_api_gateway_method_settings" "every_method" {
  # checkov:skip=CKV_AWS_225:Responses contain patients and must not be cached.
  # checkov:skip=CKV_AWS_308:As above.
  rest_api_id = var.rest_api_id
  stage_name  = "api" # Chalice's default
  method_path = "*/*"

  settings {
    throttling_burst_limit = var.api_burst_limit
    throttling_rate_limit  = var.api_rate_limit

    # API Gateway would log request bodies. The function logs its requests without patients' data.
    data_trace_enabled = false
    logging_level      = "OFF"
  }
}
