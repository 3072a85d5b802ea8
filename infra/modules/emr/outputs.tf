output "application_id" {
  description = "Id of the application of EMR Serverless; null where there is none."
  value       = one(aws_emrserverless_application.this[*].id)
}

output "job_role_arn" {
  description = "ARN of the role that jobs run as."
  value       = aws_iam_role.job.arn
}

output "cluster_role_arn" {
  description = "ARN of the role by which EMR makes a transient cluster."
  value       = aws_iam_role.cluster.arn
}

output "jobs_security_group_id" {
  description = "Security group of jobs of EMR Serverless."
  value       = aws_security_group.jobs.id
}

output "primary_security_group_id" {
  description = "Security group of the primary node of transient clusters, on which drivers run."
  value       = aws_security_group.cluster["primary"].id
}

output "core_security_group_id" {
  description = "Security group of core and task nodes of transient clusters."
  value       = aws_security_group.cluster["core"].id
}

output "input_buckets" {
  description = "ARNs of the buckets outside the lake that jobs read."
  value       = local.input_buckets
}

output "environment" {
  description = "FORMCAST_EMR_*: what Airflow's workers are told."
  value = merge(
    var.serverless == null ? {} : {
      FORMCAST_EMR_APPLICATION_ID = aws_emrserverless_application.this[0].id
      FORMCAST_EMR_RELEASE        = var.serverless.release
    },
    {
      FORMCAST_EMR_NAME                   = var.name
      FORMCAST_EMR_JOB_ROLE_ARN           = aws_iam_role.job.arn
      FORMCAST_EMR_INSTANCE_PROFILE       = aws_iam_instance_profile.job.name
      FORMCAST_EMR_SERVICE_ROLE           = aws_iam_role.cluster.name
      FORMCAST_EMR_SUBNET_IDS             = join(",", var.network.subnet_ids)
      FORMCAST_EMR_SECURITY_GROUPS        = join(",", [for group in ["primary", "core", "service"] : aws_security_group.cluster[group].id])
      FORMCAST_EMR_SECURITY_CONFIGURATION = aws_emr_security_configuration.this.name
    },
  )
}
