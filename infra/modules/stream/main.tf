data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

resource "aws_kinesis_stream" "forms" {
  name             = "${var.name}-forms"
  retention_period = var.retention_hours
  encryption_type  = "KMS"
  kms_key_id       = var.lake.key_arn

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

# Events that break the contract, with the reasons; and records that the Lambda could not do in a day of tries.
resource "aws_sqs_queue" "quarantine" {
  name                      = "${var.name}-quarantine"
  kms_master_key_id         = var.lake.key_arn
  message_retention_seconds = 1209600
  policy                    = module.only_tls.policy
}

module "only_tls" {
  source  = "../only_tls"
  actions = ["sqs:*"]
  resources = [join(":", [
    "arn", data.aws_partition.this.partition, "sqs", data.aws_region.this.name,
    data.aws_caller_identity.this.account_id, "${var.name}-quarantine",
  ])]
}
