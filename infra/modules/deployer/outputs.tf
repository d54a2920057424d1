output "role_arn" {
  description = "ARN of the role, for GitHub to assume."
  value       = aws_iam_role.this.arn
}
