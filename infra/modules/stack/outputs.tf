locals {
  # What the batch layer is told, wherever Airflow runs.
  environment = merge(
    module.emr.environment,
    {
      FORMCAST_ENGINE         = var.emr_serverless == null ? "emr" : "emr_serverless"
      FORMCAST_LAKE           = module.lake.uri
      FORMCAST_EMR_LOG_URI    = "${module.lake.uri}/logs/emr"
      FORMCAST_DYNAMODB_TABLE = module.serving.table
    },
    local.code == null ? {} : { FORMCAST_CODE_URI = "${module.lake.uri}/${local.code}" },
  )
}

output "environment" {
  description = "FORMCAST_* of Airflow's workers."
  value       = local.environment
}

output "worker_environment" {
  description = "FORMCAST_* of a queue worker or stream that runs somewhere else."
  value       = merge(module.serving.environment, module.queue.environment, { FORMCAST_STREAM = module.stream.stream })
}

output "deploy_to" {
  description = "Where code goes: `make deploy-code BUCKET=`."
  value       = "${module.lake.bucket}/${module.lake.prefix}"
}

output "repository" {
  description = "Where the image is pushed to."
  value       = module.serving.repository.url
}

output "load_balancer" {
  description = "What the record of the API's host name in DNS points to."
  value       = module.serving.balancer.dns_name
}

output "api_url" {
  description = "Address of the API."
  value       = "https://${var.api.host}"
}

output "api_keys_secret_arn" {
  description = "Secret that holds the hashes of the API's keys: put the file of `formcast keys` there."
  value       = module.serving.keys_secret_arn
}

output "airflow" {
  description = "Where Airflow is, and the policy for the role of one that runs somewhere else."
  value       = { url = module.orchestration.url, policy_arn = module.orchestration.policy_arn }
}

output "reporting" {
  description = "For analysts: database, workgroup, policy, and PostgreSQL where there is one."
  value = {
    database   = module.reporting.database
    workgroup  = module.reporting.workgroup
    policy_arn = module.reporting.analysts_policy_arn
    postgres   = module.reporting.postgres
  }
}

output "sagemaker_endpoint" {
  description = "Name of the SageMaker endpoint; null where there is none."
  value       = one(module.sagemaker[*].endpoint)
}

output "alarms" {
  description = "Topic of alarms, their names, and the dashboard."
  value = {
    topic_arn = module.monitoring.topic_arn
    names     = module.monitoring.alarms
    dashboard = module.monitoring.dashboard
  }
}
