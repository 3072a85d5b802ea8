locals {
  api = { LoadBalancer = var.api.balancer, TargetGroup = var.api.target }

  # What is not said is as in `usual` below. periods: how many (of a minute, or of `seconds`) must be bad in a row.
  alarms = merge(
    {
      api-errors = {
        when       = var.api.service != null
        about      = "The API answers over 5 errors (5xx) a minute: its log has the traces."
        metric     = ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"], statistic = "Sum"
        dimensions = local.api, above = 5, periods = 3
      }
      api-slow = {
        when       = var.api.service != null
        about      = "The API is slow: one request in a hundred takes longer than it may."
        metric     = ["AWS/ApplicationELB", "TargetResponseTime"], quantile = "p99"
        dimensions = local.api, above = var.api.latency_p99_s, periods = 5
      }
      api-down = {
        when       = var.api.service != null
        about      = "No task of the API is ready: nothing is published, or none starts."
        metric     = ["AWS/ApplicationELB", "HealthyHostCount"], statistic = "Minimum"
        dimensions = local.api, below = 1, periods = 3, silence = "breaching"
      }
      requests-wait = {
        about      = "The oldest request has waited for over 10 minutes: workers are too few, or fail."
        metric     = ["AWS/SQS", "ApproximateAgeOfOldestMessage"], statistic = "Maximum"
        dimensions = { QueueName = var.queues.requests }, above = 600, periods = 3
      }
      stream-late = {
        when       = var.stream.function != null
        about      = "The stream is over 10 minutes behind."
        metric     = ["AWS/Lambda", "IteratorAge"], statistic = "Maximum"
        dimensions = { FunctionName = var.stream.function }, above = 600000, periods = 3
      }
      stream-errors = {
        when       = var.stream.function != null
        about      = "The Lambda of the stream fails as a whole: its log says why."
        metric     = ["AWS/Lambda", "Errors"], statistic = "Sum"
        dimensions = { FunctionName = var.stream.function }, above = 0, periods = 3
      }
      night-missed = {
        when       = var.night_hours > 0
        about      = "No job of Spark was done for ${var.night_hours} hours: look what became of nightly_retrain."
        metric     = ["AWS/Events", "Invocations"], statistic = "Sum"
        dimensions = { RuleName = aws_cloudwatch_event_rule.jobs["done"].name }
        below      = 1, periods = var.night_hours, seconds = 3600, silence = "breaching"
      }
    },
    { for table in var.tables : "throttled-${trimprefix(table, "${var.name}-")}" => {
      about      = "The table takes no more requests: lower FORMCAST_DYNAMODB_WRITES, or raise the table's limit."
      metric     = ["AWS/DynamoDB", "ThrottledRequests"], statistic = "Sum"
      dimensions = { TableName = table }, above = 10, periods = 5
    } },
    { for queue in var.queues.dead : "filled-${trimprefix(queue, "${var.name}-")}" => {
      about      = "Messages stand here that nobody could do: each says why, or where in the stream its records are."
      metric     = ["AWS/SQS", "ApproximateNumberOfMessagesVisible"], statistic = "Maximum"
      dimensions = { QueueName = queue }, above = 0
    } },
  )

  usual = {
    above   = null, below = null, statistic = null, quantile = null
    periods = 1, seconds = 60, silence = "notBreaching"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = { for name, alarm in local.alarms : name => merge(local.usual, alarm) if try(alarm.when, true) }
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.about
  namespace           = each.value.metric[0]
  metric_name         = each.value.metric[1]
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  extended_statistic  = each.value.quantile
  period              = each.value.seconds
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.below == null ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.below == null ? each.value.above : each.value.below
  treat_missing_data  = each.value.silence
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.key_arn
}

resource "aws_sns_topic_subscription" "emails" {
  for_each  = toset(var.emails)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

module "only_tls" {
  source    = "../only_tls"
  actions   = ["sns:Publish"]
  resources = [aws_sns_topic.alarms.arn]
}

data "aws_caller_identity" "this" {}

data "aws_iam_policy_document" "alarms" {
  source_policy_documents = [module.only_tls.policy]

  statement {
    sid       = "Services"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "Service"
      identifiers = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }

  statement {
    sid       = "Events"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}
