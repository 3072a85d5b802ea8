output "database" {
  description = "Name of the database in Glue."
  value       = aws_glue_catalog_database.this.name
}

output "workgroup" {
  description = "Name of Athena's workgroup; null where there is none."
  value       = one(aws_athena_workgroup.this[*].name)
}

output "analysts_policy_arn" {
  description = "ARN of the IAM policy for the roles of analysts."
  value       = aws_iam_policy.analysts.arn
}

output "postgres" {
  description = "Host, database and password's secret of PostgreSQL; null where there is none."
  value = one([for one in module.postgres : {
    host       = one.host
    database   = one.database
    secret_arn = one.secret_arn
  }])
}
