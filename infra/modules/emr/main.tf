data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition

  input_buckets = distinct([for arn in var.input_arns : split("/", arn)[0]])
}

resource "aws_emrserverless_application" "this" {
  count         = var.serverless == null ? 0 : 1
  name          = var.name
  release_label = var.serverless.release
  type          = "spark"
  architecture  = "X86_64" # as the packages of `make package` are

  auto_start_configuration {
    enabled = true
  }

  auto_stop_configuration {
    enabled              = true
    idle_timeout_minutes = var.serverless.idle_minutes
  }

  # A ceiling on cost: what does not fit waits.
  maximum_capacity {
    cpu    = "${var.serverless.vcpus} vCPU"
    memory = "${var.serverless.memory_gb} GB"
    disk   = "${var.serverless.disk_gb} GB"
  }

  # Ready workers save a minute a step, and cost until the application stops.
  dynamic "initial_capacity" {
    for_each = var.serverless.initial_count > 0 ? { Driver = 1, Executor = var.serverless.initial_count } : {}
    content {
      initial_capacity_type = initial_capacity.key
      initial_capacity_config {
        worker_count = initial_capacity.value
        worker_configuration {
          cpu    = "4 vCPU"
          memory = "16 GB"
          disk   = "20 GB"
        }
      }
    }
  }

  network_configuration {
    subnet_ids         = var.network.subnet_ids
    security_group_ids = [aws_security_group.jobs.id]
  }
}

# As whom jobs of EMR Serverless run. Transient clusters run as the same, through an instance profile.
resource "aws_iam_role" "job" {
  name               = "${var.name}-job"
  assume_role_policy = data.aws_iam_policy_document.job_trust.json
}

resource "aws_iam_role_policy" "job" {
  name   = "job"
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.job.json
}

resource "aws_iam_instance_profile" "job" {
  name = aws_iam_role.job.name
  role = aws_iam_role.job.name
}

data "aws_iam_policy_document" "job_trust" {
  statement {
    sid     = "Serverless"
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["emr-serverless.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }

  statement {
    sid     = "Clusters"
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "job" {
  source_policy_documents = concat([var.lake.write_policy], var.policies)

  dynamic "statement" {
    for_each = length(var.input_arns) > 0 ? [var.input_arns] : []
    content {
      sid       = "InputRead"
      actions   = ["s3:GetObject"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(var.input_arns) > 0 ? [local.input_buckets] : []
    content {
      sid       = "InputList"
      actions   = ["s3:ListBucket"]
      resources = statement.value
    }
  }
}

# Jobs of EMR Serverless, and what they reach.
resource "aws_security_group" "jobs" {
  name        = "${var.name}-jobs"
  description = "Spark jobs of ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-jobs" }
}

resource "aws_vpc_security_group_egress_rule" "jobs" {
  security_group_id = aws_security_group.jobs.id
  description       = "AWS services"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "workers" {
  security_group_id            = aws_security_group.jobs.id
  description                  = "Driver and executors among themselves"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.jobs.id
}

resource "aws_vpc_security_group_egress_rule" "workers" {
  security_group_id            = aws_security_group.jobs.id
  description                  = "Driver and executors among themselves"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.jobs.id
}
