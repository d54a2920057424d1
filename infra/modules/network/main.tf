# A VPC whose only connections lead over TLS to S3, and there to the pipeline's buckets. It has no internet gateway
# and no NAT. It needs no interface endpoints, because the code calls S3 only. Lambda itself writes logs and
# metrics (as log lines) and sends to the failure queue, and S3 uses the KMS keys, all outside this VPC.
# No security group filters queries to AWS's DNS resolver, so data could leave in DNS queries.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

data "aws_availability_zones" "ordinary" {
  # checkov:skip=CKV_AWS_394:The subnets keep their zones, whatever zones are added.
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "this" {
  # checkov:skip=CKV2_AWS_11:Connections lead only to the pipeline's buckets, which can have access logs (access_log_bucket).
  cidr_block = var.cidr
  tags       = { Name = var.name }
}

resource "aws_subnet" "private" {
  count = 2

  vpc_id            = aws_vpc.this.id
  availability_zone = data.aws_availability_zones.ordinary.names[count.index]
  cidr_block        = cidrsubnet(var.cidr, 1, count.index)
  tags              = { Name = "${var.name}-${count.index}" }

  lifecycle {
    # A zone with an outage is missing from the list. That must not move a subnet.
    ignore_changes = [availability_zone]
  }
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.this.id
  service_name    = "com.amazonaws.${var.region}.s3"
  route_table_ids = [aws_vpc.this.main_route_table_id]
  tags            = { Name = "${var.name}-s3" }

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyToTheBucketsOfThePipeline"
      Effect    = "Allow"
      Principal = "*"
      Action    = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListBucket", "s3:PutObject"]
      Resource  = flatten([for arn in var.bucket_arns : [arn, "${arn}/*"]])
      Condition = { StringEquals = { "aws:ResourceAccount" = var.account } }
    }]
  })
}

# No rules: without an explicit security group, nothing can connect.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id
}

resource "aws_security_group" "functions" {
  # checkov:skip=CKV2_AWS_5:Chalice attaches it to the functions.
  name        = var.name
  description = "Functions of ${var.name}: nothing in, TLS to S3 out."
  vpc_id      = aws_vpc.this.id
  tags        = { Name = var.name }

  egress {
    description     = "TLS to S3."
    protocol        = "tcp"
    from_port       = 443
    to_port         = 443
    prefix_list_ids = [aws_vpc_endpoint.s3.prefix_list_id]
  }
}
