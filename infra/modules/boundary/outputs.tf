output "arn" {
  description = "ARN of the policy."
  value       = aws_iam_policy.this.arn
}

output "name" {
  description = "Name of the policy."
  value       = aws_iam_policy.this.name
}
