# Made here, kept in Secrets Manager, and in no state and no plan.
ephemeral "aws_secretsmanager_random_password" "airflow" {
  for_each            = { for name, length in { fernet = 32, jwt = 64, user = 40 } : name => length if local.fargate == 1 }
  password_length     = each.value
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "airflow" {
  count                   = local.fargate
  name                    = "${var.name}-airflow-keys"
  description             = "Keys of Airflow, and the password of its user ${local.user}"
  kms_key_id              = var.lake.key_arn
  recovery_window_in_days = var.protected ? 30 : 0
}

resource "aws_secretsmanager_secret_version" "airflow" {
  count                    = local.fargate
  secret_id                = aws_secretsmanager_secret.airflow[0].id
  secret_string_wo_version = 1
  secret_string_wo = jsonencode({
    fernet_key = base64encode(ephemeral.aws_secretsmanager_random_password.airflow["fernet"].random_password)
    jwt_secret = ephemeral.aws_secretsmanager_random_password.airflow["jwt"].random_password
    password   = ephemeral.aws_secretsmanager_random_password.airflow["user"].random_password
    passwords  = jsonencode({ (local.user) = ephemeral.aws_secretsmanager_random_password.airflow["user"].random_password })
  })
}
