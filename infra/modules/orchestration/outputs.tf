output "policy_arn" {
  description = "ARN of the IAM policy for the role of an Airflow that runs somewhere else."
  value       = aws_iam_policy.this.arn
}

output "airflow" {
  description = "Address, user and the secret with its `password`, for POST /v1/retrain; null where Airflow does not run on Fargate."
  value = one([for version in aws_secretsmanager_secret_version.airflow : {
    url        = local.url
    user       = local.user
    secret_arn = version.secret_id
  }])
}

output "url" {
  description = "Address of Airflow's page; null where it runs somewhere else."
  value = (
    var.kind == "fargate" ? local.url :
    var.kind == "mwaa" ? "https://${aws_mwaa_environment.this[0].webserver_url}" : null
  )
}
