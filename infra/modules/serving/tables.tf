# Three tables: versions of published scores, streamed scores, and the worker's answers (docs/adr/0008, docs/queue.md).
data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  tables = {
    scores   = { name = "${var.name}-scores", key = { form_id = "S", seq = "N" }, expires = null }
    realtime = { name = "${var.name}-scores-realtime", key = { form_id = "S" }, expires = null }
    answers  = { name = "${var.name}-scores-answers", key = { request_id = "S" }, expires = "until" }
  }
  arns = {
    for table, one in local.tables : table => join(":", [
      "arn", data.aws_partition.this.partition, "dynamodb", data.aws_region.this.name,
      data.aws_caller_identity.this.account_id, "table/${one.name}",
    ])
  }
}

resource "aws_dynamodb_table" "this" {
  for_each                    = local.tables
  name                        = each.value.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = contains(keys(each.value.key), "form_id") ? "form_id" : "request_id"
  range_key                   = contains(keys(each.value.key), "seq") ? "seq" : null
  deletion_protection_enabled = var.protected

  dynamic "attribute" {
    for_each = each.value.key
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "ttl" {
    for_each = each.value.expires[*]
    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.lake.key_arn
  }
}

data "aws_iam_policy_document" "read" {
  statement {
    sid       = "ScoresRead"
    actions   = ["dynamodb:GetItem", "dynamodb:Query"]
    resources = [local.arns.scores]
  }

  statement {
    sid       = "RealtimeRead"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem"]
    resources = [local.arns.realtime]
  }
}

data "aws_iam_policy_document" "publish" {
  statement {
    sid = "ScoresPublish"
    actions = [
      "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem",
      "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
    ]
    resources = [local.arns.scores]
  }

  statement {
    sid       = "RealtimePrune"
    actions   = ["dynamodb:DeleteItem", "dynamodb:Scan"]
    resources = [local.arns.realtime]
  }
}

data "aws_iam_policy_document" "stream" {
  statement {
    sid       = "RealtimeWrite"
    actions   = ["dynamodb:PutItem"]
    resources = [local.arns.realtime]
  }
}

data "aws_iam_policy_document" "answer" {
  statement {
    sid       = "AnswersKeep"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:PutItem"]
    resources = [local.arns.answers]
  }
}
