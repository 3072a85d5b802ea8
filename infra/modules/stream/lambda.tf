locals {
  function = "${var.name}-stream"
  made     = var.package == null ? 0 : 1

  tries_hours = 24 # a store may be down for a day; then the shard must go on
}

resource "aws_lambda_function" "this" {
  count         = local.made
  function_name = local.function
  description   = "Scores new and changed forms as they come in"
  role          = aws_iam_role.this.arn
  runtime       = "python3.13" # that of lambda.zip
  architectures = ["x86_64"]
  handler       = "speed.lambda_handler.handler"
  s3_bucket     = var.package.bucket
  s3_key        = var.package.key
  memory_size   = 1024
  timeout       = 60
  kms_key_arn   = var.lake.key_arn

  environment {
    variables = merge(var.environment, {
      FORMCAST_CACHE             = "/tmp/cache"
      FORMCAST_DEAD_LETTER_QUEUE = aws_sqs_queue.quarantine.url
      ORT_DISABLE_TELEMETRY      = "1"
    })
  }

  ephemeral_storage {
    size = 1024 # three generations' models
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_event_source_mapping" "forms" {
  count                              = local.made
  event_source_arn                   = aws_kinesis_stream.forms.arn
  function_name                      = aws_lambda_function.this[0].arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 500
  maximum_batching_window_in_seconds = 1
  parallelization_factor             = 2
  function_response_types            = ["ReportBatchItemFailures"]
  bisect_batch_on_function_error     = true
  maximum_record_age_in_seconds      = local.tries_hours * 3600

  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.quarantine.arn
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${local.function}"
  kms_key_id        = var.lake.key_arn
  retention_in_days = var.log_days
}

resource "aws_iam_role" "this" {
  name               = local.function
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "this" {
  name   = "run"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.run.json
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "run" {
  source_policy_documents = concat(
    [var.lake.read_serving_policy, data.aws_iam_policy_document.events.json], var.policies
  )

  statement {
    sid       = "Quarantine"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.quarantine.arn]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.lake.key_arn]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
}
