# Airflow's parts in one task: they share its scratch folder, and speak to each other over loopback.
locals {
  fargate = var.kind == "fargate" ? 1 : 0
  user    = "formcast"
  home    = "/scratch/airflow"
  files   = "/scratch/passwords.json"

  secrets = {
    AIRFLOW__API_AUTH__JWT_SECRET = "jwt_secret"
    AIRFLOW__CORE__FERNET_KEY     = "fernet_key"
    AIRFLOW_PASSWORDS             = "passwords"
  }

  airflow = local.fargate == 0 ? {} : {
    AIRFLOW_HOME                                      = local.home
    AIRFLOW__API__BASE_URL                            = local.url
    AIRFLOW__CORE__DAGS_FOLDER                        = "/opt/airflow/dags"
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL           = "http://127.0.0.1:8080/execution/"
    AIRFLOW__CORE__EXECUTOR                           = "LocalExecutor"
    AIRFLOW__CORE__LOAD_EXAMPLES                      = "False"
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE = local.files
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS          = "${local.user}:admin"
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN               = "postgresql+psycopg2://${local.server}?sslmode=require"
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC         = "postgresql+asyncpg://${local.server}?ssl=require"
    AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER          = "${var.lake.uri}/logs/airflow"
    AIRFLOW__LOGGING__REMOTE_LOGGING                  = "True"
    FORMCAST_LOGS                                     = "/scratch/logs"
  }

  # The password comes as PGPASSWORD, which both drivers know: it stands in no URL.
  server = join("", [for one in module.database : "${one.database}@${one.host}:5432/${one.database}"])
  url    = "https://${var.balancer.host}:${var.port}"

  parts = {
    api       = "printenv AIRFLOW_PASSWORDS > ${local.files} && exec airflow api-server --port 8080"
    processor = "exec airflow dag-processor"
    scheduler = "exec airflow scheduler"
    triggerer = "exec airflow triggerer"
  }
}

module "airflow" {
  source = "../container"
  count  = local.fargate

  name        = "${var.name}-airflow"
  cluster     = var.cluster
  network     = var.network
  image       = var.image
  size        = { cpu = 2048, memory = 8192 }
  tasks       = { min = 1, max = 1 }
  single      = true
  policy      = data.aws_iam_policy_document.this.json
  secret_arns = [aws_secretsmanager_secret.airflow[0].arn, module.database[0].secret_arn]
  key_arn     = var.lake.key_arn
  log_days    = var.log_days

  balancer = {
    target_group_arn  = aws_lb_listener.airflow[0].default_action[0].target_group_arn
    security_group_id = var.balancer.security_group_id
    container         = "api"
  }

  containers = merge(
    {
      database = {
        entry_point = ["sh", "-c"]
        command     = ["airflow db migrate && airflow pools set lake_writer 1 'One writer at a time in the lake' --include-deferred"]
        environment = local.airflow
        secrets     = local.given
        once        = true
      }
    },
    { for part, command in local.parts : part => {
      entry_point = ["sh", "-c"]
      command     = [command]
      port        = part == "api" ? 8080 : null
      environment = merge(var.environment, local.airflow)
      secrets     = local.given
      after       = { database = "SUCCESS" }
    } },
  )
}

locals {
  given = local.fargate == 0 ? {} : merge(
    { for name, key in local.secrets : name => "${aws_secretsmanager_secret_version.airflow[0].secret_id}:${key}::" },
    { PGPASSWORD = module.database[0].secret_arn },
  )
}

module "database" {
  source = "../postgres"
  count  = local.fargate

  name      = "${var.name}-airflow"
  database  = "airflow"
  network   = var.network
  clients   = { airflow = module.airflow[0].security_group_id }
  instance  = var.database
  protected = var.protected
  key_arn   = var.lake.key_arn
}

resource "aws_lb_target_group" "airflow" {
  count                = local.fargate
  name                 = "${var.name}-airflow"
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = 8080
  vpc_id               = var.network.vpc_id
  deregistration_delay = 30

  health_check {
    path    = "/api/v2/monitor/health"
    matcher = "200"
  }
}

resource "aws_lb_listener" "airflow" {
  count             = local.fargate
  load_balancer_arn = var.balancer.arn
  protocol          = "HTTPS"
  port              = var.port
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.balancer.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.airflow[0].arn
  }
}

resource "aws_vpc_security_group_ingress_rule" "airflow" {
  for_each          = toset(local.fargate == 1 ? var.balancer.allowed_cidrs : [])
  security_group_id = var.balancer.security_group_id
  description       = "Users of Airflow"
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each                     = local.fargate == 1 ? var.clients : {}
  security_group_id            = var.balancer.security_group_id
  description                  = "Asks Airflow: ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
  referenced_security_group_id = each.value
}

resource "aws_vpc_security_group_egress_rule" "clients" {
  for_each                     = local.fargate == 1 ? var.clients : {}
  security_group_id            = each.value
  description                  = "Airflow"
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
  referenced_security_group_id = var.balancer.security_group_id
}
