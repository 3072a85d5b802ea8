data "aws_region" "this" {}

locals {
  # A row a subject, three graphs at most. A metric is [namespace, name, dimension, value, ...], as CloudWatch writes it.
  rows = concat(
    [[
      { title = "Jobs done and failed", stat = "Sum", metrics = [for rule in aws_cloudwatch_event_rule.jobs : ["AWS/Events", "Invocations", "RuleName", rule.name]] },
      { title = "Items written", stat = "Sum", metrics = [for table in var.tables : ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", table]] },
      { title = "Throttled", stat = "Sum", metrics = [for table in var.tables : ["AWS/DynamoDB", "ThrottledRequests", "TableName", table]] },
    ]],
    var.api.service == null ? [] : [[
      { title = "Requests", stat = "Sum", metrics = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.api.balancer]] },
      { title = "Seconds to answer, p99", stat = "p99", metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.api.balancer]] },
      { title = "CPU of the API, %", stat = "Average", metrics = [["AWS/ECS", "CPUUtilization", "ClusterName", var.api.cluster, "ServiceName", var.api.service]] },
    ]],
    [[
      { title = "Requests waiting", stat = "Maximum", metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.queues.requests]] },
      { title = "What nobody could do", stat = "Maximum", metrics = [for queue in var.queues.dead : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]] },
      { title = "Events", stat = "Sum", metrics = [["AWS/Kinesis", "IncomingRecords", "StreamName", var.stream.name]] },
    ]],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = flatten([for y, row in local.rows : [for x, graph in row : {
      type = "metric", x = 8 * x, y = 6 * y, width = 8, height = 6
      properties = {
        title  = graph.title, stat = graph.stat, metrics = graph.metrics, period = 300
        region = data.aws_region.this.name, view = "timeSeries"
      }
    }]])
  })
}
