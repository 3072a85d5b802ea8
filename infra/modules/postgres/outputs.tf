output "host" {
  description = "Host name of the server."
  value       = aws_db_instance.this.address
}

output "database" {
  description = "Name of the database, and of the user who owns it."
  value       = var.database
}

output "secret_arn" {
  description = "ARN of the secret that is the password."
  value       = aws_secretsmanager_secret.this.arn
}
