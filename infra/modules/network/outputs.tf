output "security_group_id" {
  description = "Security group for the functions."
  value       = aws_security_group.functions.id
}

output "subnet_ids" {
  description = "Subnets for the functions, one in each of two availability zones."
  value       = aws_subnet.private[*].id
}
