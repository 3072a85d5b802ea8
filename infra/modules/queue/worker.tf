module "worker" {
  source = "../container"
  count  = var.image == null ? 0 : 1

  name           = "${var.name}-worker"
  cluster        = var.cluster
  network        = var.network
  image          = var.image
  repository_arn = var.repository_arn
  size           = { cpu = 512, memory = 1024 }
  tasks          = var.tasks
  policy         = data.aws_iam_policy_document.worker.json
  key_arn        = var.lake.key_arn
  log_days       = var.log_days

  containers = {
    worker = {
      command = ["speed.worker"]
      environment = merge(var.environment, local.reply, {
        FORMCAST_REQUEST_QUEUE     = aws_sqs_queue.this["requests"].url
        FORMCAST_DEAD_LETTER_QUEUE = aws_sqs_queue.dead["requests"].url
      })
    }
  }
}

# Waiting requests start workers long before their CPU would.
resource "aws_appautoscaling_policy" "backlog" {
  count              = var.image != null && var.tasks.max > var.tasks.min ? 1 : 0
  name               = "${var.name}-worker-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = module.worker[0].scaling.namespace
  resource_id        = module.worker[0].scaling.resource
  scalable_dimension = module.worker[0].scaling.dimension

  target_tracking_scaling_policy_configuration {
    target_value = 500
    customized_metric_specification {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesVisible"
      statistic   = "Average"
      dimensions {
        name  = "QueueName"
        value = aws_sqs_queue.this["requests"].name
      }
    }
  }
}

data "aws_iam_policy_document" "worker" {
  source_policy_documents = concat([var.lake.read_serving_policy], var.policies)

  statement {
    sid       = "Requests"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]
    resources = [aws_sqs_queue.this["requests"].arn]
  }

  statement {
    sid       = "Answers"
    actions   = ["sqs:SendMessage"]
    resources = concat([aws_sqs_queue.this["replies"].arn, aws_sqs_queue.dead["requests"].arn], var.reply_arns)
  }

  statement {
    sid       = "AnswersTopic"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.replies.arn]
  }

  statement {
    sid       = "QueuesKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.lake.key_arn]
  }
}
