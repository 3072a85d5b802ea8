data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  partition = data.aws_partition.this.partition
  here      = "${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}"
}

resource "aws_kinesis_stream" "forms" {
  name             = "${var.name}-forms"
  retention_period = var.retention_hours
  encryption_type  = "KMS"
  kms_key_id       = var.lake.key_arn

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

# Events that break the contract, with the reasons; and where in the stream records are that the Lambda could not do in
# a day of tries. Kinesis sends no records here: they are read from the stream again, which keeps them a day longer.
resource "aws_sqs_queue" "quarantine" {
  name                      = "${var.name}-quarantine"
  kms_master_key_id         = var.lake.key_arn
  message_retention_seconds = 1209600
  policy                    = module.only_tls.policy
}

# Of whoever reads the stream: the Lambda, or jobs of Spark in its place. All events are encrypted by the lake's key.
data "aws_iam_policy_document" "events" {
  statement {
    sid = "Events"
    actions = [
      "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator",
      "kinesis:ListShards",
    ]
    resources = ["arn:${local.partition}:kinesis:${local.here}:stream/${var.name}-forms"]
  }
}

module "only_tls" {
  source    = "../only_tls"
  actions   = ["sqs:*"]
  resources = ["arn:${local.partition}:sqs:${local.here}:${var.name}-quarantine"]
}
