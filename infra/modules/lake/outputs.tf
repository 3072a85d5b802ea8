output "bucket" {
  description = "Name of the bucket. It is there, and closed, when it is known."
  value       = aws_s3_bucket_policy.this.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = local.arn
}

output "prefix" {
  description = "Folder of the lake in its bucket."
  value       = var.prefix
}

output "uri" {
  description = "FORMCAST_LAKE."
  value       = "s3://${local.bucket}/${var.prefix}"
}

output "objects_arn" {
  description = "ARN of the lake's folder: what objects' ARNs begin with."
  value       = local.objects
}

output "key_arn" {
  description = "ARN of the key of all data at rest."
  value       = aws_kms_key.this.arn
}

output "write_policy" {
  description = "IAM policy (JSON) of the batch layer: the whole lake, its code read only."
  value       = data.aws_iam_policy_document.write.json
}

output "read_serving_policy" {
  description = "IAM policy (JSON) of whoever answers: published generations."
  value       = data.aws_iam_policy_document.read_serving.json
}
