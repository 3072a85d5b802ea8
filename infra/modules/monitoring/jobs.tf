# Jobs of Spark that ended: EMR says so itself, whatever started them. It says it of the whole account: ours are those
# of our application, and steps whose names begin with ours (FORMCAST_EMR_NAME).
locals {
  jobs = {
    done   = { serverless = ["SUCCESS"], step = ["COMPLETED"] }
    failed = { serverless = ["FAILED"], step = ["FAILED"] }
  }
  application = coalesce(var.application_id, "none")
}

resource "aws_cloudwatch_event_rule" "jobs" {
  for_each    = local.jobs
  name        = "${var.name}-jobs-${each.key}"
  description = "Jobs of EMR that are ${each.key}"
  event_pattern = jsonencode({
    "$or" = [
      {
        source      = ["aws.emr-serverless"]
        detail-type = ["EMR Serverless Job Run State Change"]
        detail      = { state = each.value.serverless, applicationId = [local.application] }
      },
      {
        source      = ["aws.emr"]
        detail-type = ["EMR Step Status Change"]
        detail      = { state = each.value.step, name = [{ prefix = "${var.name} " }] }
      },
    ]
  })
}

# A record of every job; and an event that reaches somebody is one that CloudWatch counts.
resource "aws_cloudwatch_event_target" "log" {
  for_each = local.jobs
  rule     = aws_cloudwatch_event_rule.jobs[each.key].name
  arn      = aws_cloudwatch_log_group.jobs.arn
}

resource "aws_cloudwatch_event_target" "failed" {
  rule = aws_cloudwatch_event_rule.jobs["failed"].name
  arn  = aws_sns_topic.alarms.arn
}

resource "aws_cloudwatch_log_group" "jobs" {
  name              = "/aws/events/${var.name}-jobs"
  kms_key_id        = var.key_arn
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_resource_policy" "jobs" {
  policy_name     = "${var.name}-jobs"
  policy_document = data.aws_iam_policy_document.jobs.json
}

data "aws_iam_policy_document" "jobs" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.jobs.arn}:*"]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com", "events.amazonaws.com"]
    }
  }
}
