# DAGs and requirements.txt lie below <lake>/airflow/.
locals {
  mwaa  = var.kind == "mwaa" ? 1 : 0
  kinds = ["DAGProcessing", "Scheduler", "Task", "WebServer", "Worker"] # as MWAA names their logs
}

resource "aws_mwaa_environment" "this" {
  count                  = local.mwaa
  name                   = var.name
  airflow_version        = var.mwaa.version
  environment_class      = var.mwaa.class
  max_workers            = var.mwaa.workers
  execution_role_arn     = aws_iam_role.mwaa[0].arn
  source_bucket_arn      = var.lake.bucket_arn
  dag_s3_path            = "${var.lake.prefix}/airflow/dags"
  requirements_s3_path   = "${var.lake.prefix}/airflow/requirements.txt"
  startup_script_s3_path = "${var.lake.prefix}/airflow/environment.sh"
  kms_key                = var.lake.key_arn
  webserver_access_mode  = "PRIVATE_ONLY"

  network_configuration {
    subnet_ids         = slice(var.network.subnet_ids, 0, 2)
    security_group_ids = [aws_security_group.mwaa[0].id]
  }

  logging_configuration {
    dag_processing_logs {
      enabled   = true
      log_level = "WARNING"
    }
    scheduler_logs {
      enabled   = true
      log_level = "WARNING"
    }
    task_logs {
      enabled   = true
      log_level = "INFO"
    }
    webserver_logs {
      enabled   = true
      log_level = "WARNING"
    }
    worker_logs {
      enabled   = true
      log_level = "WARNING"
    }
  }

  depends_on = [aws_s3_object.mwaa, aws_cloudwatch_log_group.mwaa, aws_iam_role_policy.mwaa]
}

# The workers' environment: MWAA sources this script before it starts Airflow.
resource "aws_s3_object" "mwaa" {
  count   = local.mwaa
  bucket  = var.lake.bucket
  key     = "${var.lake.prefix}/airflow/environment.sh"
  content = join("", [for name, value in var.environment : "export ${name}='${value}'\n"])
}

resource "aws_cloudwatch_log_group" "mwaa" {
  for_each          = toset(local.mwaa == 1 ? local.kinds : [])
  name              = "airflow-${var.name}-${each.key}"
  kms_key_id        = var.lake.key_arn
  retention_in_days = var.log_days
}

resource "aws_security_group" "mwaa" {
  count       = local.mwaa
  name        = "${var.name}-airflow"
  description = "Airflow of ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-airflow" }
}

resource "aws_vpc_security_group_ingress_rule" "mwaa" {
  count                        = local.mwaa
  security_group_id            = aws_security_group.mwaa[0].id
  description                  = "Parts of Airflow among themselves"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.mwaa[0].id
}

resource "aws_vpc_security_group_egress_rule" "mwaa_self" {
  count                        = local.mwaa
  security_group_id            = aws_security_group.mwaa[0].id
  description                  = "Parts of Airflow among themselves"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.mwaa[0].id
}

resource "aws_vpc_security_group_egress_rule" "mwaa" {
  count             = local.mwaa
  security_group_id = aws_security_group.mwaa[0].id
  description       = "AWS services"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_iam_role" "mwaa" {
  count              = local.mwaa
  name               = "${var.name}-airflow"
  assume_role_policy = data.aws_iam_policy_document.mwaa_trust.json
}

resource "aws_iam_role_policy" "mwaa" {
  count  = local.mwaa
  name   = "run"
  role   = aws_iam_role.mwaa[0].id
  policy = data.aws_iam_policy_document.mwaa.json
}

data "aws_iam_policy_document" "mwaa_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

data "aws_iam_policy_document" "mwaa" {
  source_policy_documents = [data.aws_iam_policy_document.this.json]

  statement {
    sid       = "Self"
    actions   = ["airflow:PublishMetrics"]
    resources = ["arn:${local.partition}:airflow:${local.here}:environment/${var.name}"]
  }

  statement {
    sid = "Source"
    actions = [
      "s3:GetBucketLocation", "s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration",
      "s3:ListBucketVersions",
    ]
    resources = [var.lake.bucket_arn]
  }

  statement {
    sid       = "SourceFiles"
    actions   = ["s3:GetObjectVersion"]
    resources = ["${var.lake.objects_arn}/airflow/*"]
  }

  statement {
    sid = "Logs"
    actions = [
      "logs:CreateLogGroup", "logs:CreateLogStream", "logs:GetLogEvents", "logs:GetLogGroupFields", "logs:GetLogRecord",
      "logs:GetQueryResults", "logs:PutLogEvents",
    ]
    resources = ["arn:${local.partition}:logs:${local.here}:log-group:airflow-${var.name}-*"]
  }

  # MWAA asks for these of an account and not of a thing: no resource can be named.
  statement {
    sid       = "Account"
    actions   = ["cloudwatch:PutMetricData", "logs:DescribeLogGroups", "s3:GetAccountPublicAccessBlock"]
    resources = ["*"]
  }

  # Its queue stands in an account of AWS's own.
  statement {
    sid = "Celery"
    actions = [
      "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl",
      "sqs:ReceiveMessage", "sqs:SendMessage",
    ]
    resources = ["arn:${local.partition}:sqs:${data.aws_region.this.name}:*:airflow-celery-*"]
  }
}
