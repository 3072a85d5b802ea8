output "environment" {
  description = "FORMCAST_* of a queue worker, wherever it runs."
  value = merge(local.reply, {
    FORMCAST_REQUEST_QUEUE     = aws_sqs_queue.this["requests"].url
    FORMCAST_DEAD_LETTER_QUEUE = aws_sqs_queue.dead["requests"].url
  })
}

output "topic_arn" {
  description = "ARN of the topic of answers."
  value       = aws_sns_topic.replies.arn
}

output "requests" {
  description = "Name of the queue of requests."
  value       = aws_sqs_queue.this["requests"].name
}

output "dead" {
  description = "Names of the dead-letter queues."
  value       = [for one in aws_sqs_queue.dead : one.name]
}

output "service" {
  description = "Name of the worker's ECS service; null before there is an image."
  value       = one(module.worker[*].service)
}
