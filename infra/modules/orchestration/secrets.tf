# Made here, kept in Secrets Manager, and in no state and no plan.
ephemeral "aws_secretsmanager_random_password" "fernet" {
  count               = local.fargate
  password_length     = 32
  exclude_punctuation = true
}

ephemeral "aws_secretsmanager_random_password" "jwt" {
  count               = local.fargate
  password_length     = 64
  exclude_punctuation = true
}

ephemeral "aws_secretsmanager_random_password" "user" {
  count               = local.fargate
  password_length     = 40
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
    fernet_key = base64encode(ephemeral.aws_secretsmanager_random_password.fernet[0].random_password)
    jwt_secret = ephemeral.aws_secretsmanager_random_password.jwt[0].random_password
    password   = ephemeral.aws_secretsmanager_random_password.user[0].random_password
    passwords  = jsonencode({ (local.user) = ephemeral.aws_secretsmanager_random_password.user[0].random_password })
  })
}
