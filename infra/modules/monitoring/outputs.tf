output "topic_arn" {
  description = "ARN of the topic of alarms, for further subscriptions."
  value       = aws_sns_topic.alarms.arn
}

output "alarms" {
  description = "Names of all alarms."
  value       = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name]
}

output "dashboard" {
  description = "Name of the dashboard in CloudWatch."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
