# Two of everything that answers, and nothing that a slip of the hand deletes. Sized for 10 M forms.
locals {
  env = "prod"
}

module "formcast" {
  source    = "../../modules/stack"
  env       = local.env
  protected = true

  network          = var.network
  api              = merge(var.api, { cpu = 2048, memory = 4096, min = 2, max = 8 })
  image            = var.image
  code_version     = var.code_version
  stream_lambda    = var.stream_lambda
  input_arns       = var.input_arns
  reply_queue_arns = var.reply_queue_arns

  lake           = { old_version_days = 30, log_days = 90 }
  emr_serverless = var.emr_serverless ? { vcpus = 84, memory_gb = 336, disk_gb = 1600 } : null
  workers        = { min = 2, max = 10 }
  stream_hours   = 72
  airflow        = merge(var.airflow, { database = { class = "db.t4g.small", zones = 2, backup = 14 } })
  postgres       = var.postgres ? { class = "db.t4g.medium", gib = 100, max = 500, zones = 2, backup = 14 } : null
  sagemaker      = var.sagemaker ? { min = 2, max = 4 } : null

  alarms   = var.alarms
  log_days = 90
}
