# What Airflow may do, wherever it runs: start and end jobs, hand them their roles, keep its own logs.
data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  partition    = data.aws_partition.this.partition
  here         = "${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}"
  applications = [for id in var.emr.application_id[*] : "arn:${local.partition}:emr-serverless:${local.here}:/applications/${id}"]
}

resource "aws_iam_policy" "this" {
  name        = "${var.name}-airflow"
  description = "What Airflow may do for ${var.name}"
  policy      = data.aws_iam_policy_document.this.json
}

data "aws_iam_policy_document" "this" {
  dynamic "statement" {
    for_each = local.applications
    content {
      sid = "Serverless"
      actions = [
        "emr-serverless:CancelJobRun", "emr-serverless:GetApplication", "emr-serverless:GetDashboardForJobRun",
        "emr-serverless:GetJobRun", "emr-serverless:ListJobRuns", "emr-serverless:StartApplication",
        "emr-serverless:StartJobRun", "emr-serverless:TagResource",
      ]
      resources = [statement.value, "${statement.value}/jobruns/*"]
    }
  }

  # A cluster that is not there yet has no name; but it must be made with the tag that the rest is bound to.
  statement {
    sid       = "ClusterMake"
    actions   = ["elasticmapreduce:RunJobFlow"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/for-use-with-amazon-emr-managed-policies"
      values   = ["true"]
    }
  }

  statement {
    sid = "ClusterUse"
    actions = [
      "elasticmapreduce:AddJobFlowSteps", "elasticmapreduce:AddTags", "elasticmapreduce:CancelSteps",
      "elasticmapreduce:DescribeCluster", "elasticmapreduce:DescribeStep", "elasticmapreduce:ListInstanceFleets",
      "elasticmapreduce:ListSteps", "elasticmapreduce:PutAutoTerminationPolicy",
      "elasticmapreduce:PutManagedScalingPolicy", "elasticmapreduce:TerminateJobFlows",
    ]
    resources = ["arn:${local.partition}:elasticmapreduce:${local.here}:cluster/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/for-use-with-amazon-emr-managed-policies"
      values   = ["true"]
    }
  }

  # To find the cluster of a run again, its task must look through those that are there: no resource can be named.
  statement {
    sid       = "ClusterFind"
    actions   = ["elasticmapreduce:ListClusters"]
    resources = ["*"]
  }

  statement {
    sid       = "HandRoles"
    actions   = ["iam:PassRole"]
    resources = [var.emr.job_role_arn, var.emr.cluster_role_arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ec2.amazonaws.com", "elasticmapreduce.amazonaws.com", "emr-serverless.amazonaws.com"]
    }
  }

  statement {
    sid       = "LakeAndInputList"
    actions   = ["s3:ListBucket"]
    resources = concat([var.lake.bucket_arn], var.input_buckets)
  }

  statement {
    sid       = "LakeRead"
    actions   = ["s3:GetObject"]
    resources = ["${var.lake.objects_arn}/*"]
  }

  statement {
    sid       = "OwnLogs"
    actions   = ["s3:PutObject"]
    resources = ["${var.lake.objects_arn}/logs/airflow/*"]
  }

  statement {
    sid       = "LakeKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.lake.key_arn]
  }
}
