# For the roles of analysts: attach it, there is nothing else that they need.
resource "aws_iam_policy" "analysts" {
  name        = "${var.name}-analysts"
  description = "Read predictions of ${var.name} with Athena"
  policy      = data.aws_iam_policy_document.analysts.json
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  here = "${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}"
  glue = "arn:${data.aws_partition.this.partition}:glue:${local.here}"
}

data "aws_iam_policy_document" "analysts" {
  statement {
    sid = "Queries"
    actions = [
      "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup", "athena:StartQueryExecution",
      "athena:StopQueryExecution",
    ]
    resources = ["arn:${data.aws_partition.this.partition}:athena:${local.here}:workgroup/${var.name}"]
  }

  statement {
    sid     = "Catalog"
    actions = ["glue:GetDatabase", "glue:GetTable", "glue:GetTables"]
    resources = [
      "${local.glue}:catalog",
      "${local.glue}:database/${aws_glue_catalog_database.this.name}",
      "${local.glue}:table/${aws_glue_catalog_database.this.name}/predictions",
    ]
  }

  statement {
    sid       = "Bucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [var.lake.bucket_arn]
  }

  statement {
    sid       = "Predictions"
    actions   = ["s3:GetObject"]
    resources = ["${var.lake.objects_arn}/predictions/*"]
  }

  statement {
    sid       = "Results"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.lake.objects_arn}/${local.results}/*"]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.lake.key_arn]
  }
}
