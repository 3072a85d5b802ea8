output "security_group_id" {
  description = "Security group of the tasks."
  value       = aws_security_group.this.id
}

output "service" {
  description = "Name of the ECS service."
  value       = aws_ecs_service.this.name
}

output "scaling" {
  description = "What a further policy of autoscaling is attached to; null where the number of tasks is fixed."
  value = one([for target in aws_appautoscaling_target.this : {
    namespace = target.service_namespace
    resource  = target.resource_id
    dimension = target.scalable_dimension
  }])
}
