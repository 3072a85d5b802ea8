data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  # Queues that somebody works on; each has another beside it, <name>-dead, for messages that nobody could do.
  # The worker itself gives up after five tries and says why: its tenth is the net below that.
  queues  = ["requests", "replies"]
  days_14 = 1209600

  arns = { for queue in flatten([for one in local.queues : [one, "${one}-dead"]]) : queue => join(":", [
    "arn", data.aws_partition.this.partition, "sqs", data.aws_region.this.name,
    data.aws_caller_identity.this.account_id, "${var.name}-${queue}",
  ]) }

  reply = var.reply_to == "queue" ? {
    FORMCAST_REPLY_QUEUE = aws_sqs_queue.this["replies"].url
    } : {
    FORMCAST_REPLY_TOPIC = aws_sns_topic.replies.arn
  }
}

resource "aws_sqs_queue" "this" {
  for_each                   = toset(local.queues)
  name                       = "${var.name}-${each.key}"
  kms_master_key_id          = var.lake.key_arn
  message_retention_seconds  = local.days_14
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = 60
  policy                     = module.only_tls[each.key].policy

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead[each.key].arn
    maxReceiveCount     = 10
  })
}

resource "aws_sqs_queue" "dead" {
  for_each                  = toset(local.queues)
  name                      = "${var.name}-${each.key}-dead"
  kms_master_key_id         = var.lake.key_arn
  message_retention_seconds = local.days_14
  policy                    = module.only_tls["${each.key}-dead"].policy
}

resource "aws_sns_topic" "replies" {
  name              = "${var.name}-replies"
  kms_master_key_id = var.lake.key_arn
}

resource "aws_sns_topic_policy" "replies" {
  arn    = aws_sns_topic.replies.arn
  policy = module.only_tls["topic"].policy
}

module "only_tls" {
  source    = "../only_tls"
  for_each  = merge(local.arns, { topic = aws_sns_topic.replies.arn })
  actions   = [each.key == "topic" ? "sns:Publish" : "sqs:*"]
  resources = [each.value]
}
