# Small, and gone when it is destroyed.
locals {
  env = "dev"
}

module "formcast" {
  source    = "../../modules/stack"
  env       = local.env
  protected = false

  network          = var.network
  api              = merge(var.api, { cpu = 512, memory = 1024, min = 1, max = 2, latency_p99_s = 0.5 })
  image            = var.image
  code_version     = var.code_version
  stream_lambda    = var.stream_lambda
  input_arns       = var.input_arns
  reply_queue_arns = var.reply_queue_arns

  lake           = { old_version_days = 7, log_days = 30 }
  emr_serverless = var.emr_serverless ? { vcpus = 20, memory_gb = 80, disk_gb = 400 } : null
  workers        = { min = 1, max = 2 }
  airflow        = var.airflow
  postgres       = var.postgres ? { class = "db.t4g.micro", max = 50, backup = 1 } : null
  sagemaker      = var.sagemaker ? { max = 1 } : null
  scan_gib       = 10

  alarms   = merge(var.alarms, { night_hours = 0 }) # nights are run by hand
  log_days = 14
}
