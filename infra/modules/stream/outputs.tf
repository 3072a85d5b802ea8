output "stream" {
  description = "FORMCAST_STREAM: name of the Kinesis stream of new and changed forms."
  value       = aws_kinesis_stream.forms.name
}

output "stream_arn" {
  description = "ARN of the stream, for the policies of those who write to it."
  value       = aws_kinesis_stream.forms.arn
}

output "events_policy" {
  description = "IAM policy (JSON) of who reads the stream. He needs the lake's key, too."
  value       = data.aws_iam_policy_document.events.json
}

output "quarantine" {
  description = "Name of the queue of refused events."
  value       = aws_sqs_queue.quarantine.name
}

output "function" {
  description = "Name of the Lambda; null before its package is deployed."
  value       = one(aws_lambda_function.this[*].function_name)
}
