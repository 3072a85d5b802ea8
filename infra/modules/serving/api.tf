locals {
  port      = 8000
  keys_file = "/scratch/keys/keys.json"

  airflow_environment = var.airflow == null ? {} : {
    FORMCAST_AIRFLOW_URL  = var.airflow.url
    FORMCAST_AIRFLOW_USER = var.airflow.user
  }
  airflow_secrets = { for one in var.airflow[*] : "FORMCAST_AIRFLOW_PASSWORD" => "${one.secret_arn}:password::" }
}

# One repository for the one image of API, worker and endpoint.
resource "aws_ecr_repository" "this" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.protected

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.lake.key_arn
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last twenty: enough to go back to."
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
      action       = { type = "expire" }
    }]
  })
}

# Hashes of the API's keys, as `formcast keys` writes them. The first version is an empty list; later ones are put there
# by hand, and Terraform never reads them.
resource "aws_secretsmanager_secret" "keys" {
  name                    = "${var.name}-api-keys"
  description             = "Hashes of the keys of the API"
  kms_key_id              = var.lake.key_arn
  recovery_window_in_days = var.protected ? 30 : 0
}

resource "aws_secretsmanager_secret_version" "keys" {
  secret_id                = aws_secretsmanager_secret.keys.id
  secret_string_wo         = "[]"
  secret_string_wo_version = 1
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

module "api" {
  source = "../container"
  count  = var.image == null ? 0 : 1

  name           = "${var.name}-api"
  cluster        = aws_ecs_cluster.this.name
  network        = var.network
  image          = var.image
  repository_arn = aws_ecr_repository.this.arn
  size           = var.size
  tasks          = var.tasks
  policy         = data.aws_iam_policy_document.api.json
  secret_arns    = var.airflow[*].secret_arn
  key_arn        = var.lake.key_arn
  log_days       = var.log_days

  balancer = {
    target_group_arn  = aws_lb_listener.https.default_action[0].target_group_arn
    security_group_id = aws_security_group.balancer.id
    container         = "api"
  }

  containers = {
    api = {
      command = ["speed.api"]
      port    = local.port
      health  = ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:${local.port}/healthz', timeout=2)"]
      after   = { keys = "HEALTHY" }
      secrets = local.airflow_secrets
      environment = merge(local.environment, local.airflow_environment, {
        FORMCAST_HOST       = "0.0.0.0"
        FORMCAST_PORT       = tostring(local.port)
        FORMCAST_WORKERS    = tostring(max(1, floor(var.size.cpu / 512)))
        FORMCAST_KEYS_FILE  = local.keys_file
        FORMCAST_PUBLIC_URL = "https://${var.balancer.host}"
        # Of X-Forwarded-For the last that is not the load balancer's: what stands before it, any client may write.
        FORWARDED_ALLOW_IPS = join(",", [for subnet in data.aws_subnet.balancer : subnet.cidr_block])
      })
    }
    keys = {
      entry_point = ["python", "-c", file("${path.module}/follow_keys.py")]
      health      = ["test", "-f", local.keys_file]
      environment = {
        FORMCAST_KEYS_FILE = local.keys_file
        KEYS_SECRET        = aws_secretsmanager_secret_version.keys.secret_id
      }
    }
  }
}

locals {
  # What every reader of published scores is told.
  environment = {
    FORMCAST_LAKE           = var.lake.uri
    FORMCAST_STORE          = "dynamodb"
    FORMCAST_DYNAMODB_TABLE = aws_dynamodb_table.this["scores"].name
    FORMCAST_CACHE          = "/scratch/cache"
  }
}

data "aws_iam_policy_document" "api" {
  source_policy_documents = [var.lake.read_serving_policy, data.aws_iam_policy_document.read.json]

  statement {
    sid       = "ApiKeys"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.keys.arn]
  }
}
