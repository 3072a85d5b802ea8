output "repository" {
  description = "The ECR repository of the image."
  value       = { url = aws_ecr_repository.this.repository_url, arn = aws_ecr_repository.this.arn }
}

output "cluster" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "table" {
  description = "FORMCAST_DYNAMODB_TABLE."
  value       = aws_dynamodb_table.this["scores"].name
}

output "tables" {
  description = "Names of all tables."
  value       = [for one in aws_dynamodb_table.this : one.name]
}

output "environment" {
  description = "FORMCAST_* of whoever reads published scores."
  value       = local.environment
}

output "policies" {
  description = "IAM policies (JSON) for the tables: read scores, publish them, stream new ones, keep answers."
  value = {
    read    = data.aws_iam_policy_document.read.json
    publish = data.aws_iam_policy_document.publish.json
    stream  = data.aws_iam_policy_document.stream.json
    answer  = data.aws_iam_policy_document.answer.json
  }
}

output "keys_secret_arn" {
  description = "ARN of the secret that holds the hashes of the API's keys."
  value       = aws_secretsmanager_secret.keys.arn
}

output "balancer" {
  description = "The load balancer: for further listeners, alarms, and the record in DNS."
  value = {
    arn               = aws_lb.this.arn
    suffix            = aws_lb.this.arn_suffix
    dns_name          = aws_lb.this.dns_name
    security_group_id = aws_security_group.balancer.id
    target_suffix     = aws_lb_target_group.api.arn_suffix
  }
}

output "api_service" {
  description = "Name of the API's ECS service; null before there is an image."
  value       = one(module.api[*].service)
}

output "api_security_group_id" {
  description = "Security group of the API's tasks; null before there is an image."
  value       = one(module.api[*].security_group_id)
}
