locals {
  name = "${var.project}-${var.env}"
  code = var.code_version == null ? null : "code/${var.code_version}"
}

module "lake" {
  source           = "../lake"
  name             = local.name
  bucket           = var.lake.bucket
  prefix           = var.lake.prefix
  old_version_days = var.lake.old_version_days
  log_days         = var.lake.log_days
  deletable        = !var.protected
}

module "emr" {
  source     = "../emr"
  name       = local.name
  network    = var.network
  serverless = var.emr_serverless
  input_arns = var.input_arns
  lake       = module.lake
  policies = concat(
    [module.serving.policies.publish],
    # `formcast stream` in place of the Lambda
    var.stream_lambda ? [] : [module.stream.events_policy, module.serving.policies.read, module.serving.policies.stream],
  )
}

module "serving" {
  source  = "../serving"
  name    = local.name
  network = var.network
  image   = var.image
  size    = { cpu = var.api.cpu, memory = var.api.memory }
  tasks   = { min = var.api.min, max = var.api.max }
  lake    = module.lake
  airflow = module.orchestration.airflow
  balancer = {
    subnet_ids      = coalesce(var.api.subnet_ids, var.network.subnet_ids)
    internal        = var.api.internal
    allowed_cidrs   = var.api.allowed_cidrs
    certificate_arn = var.api.certificate_arn
    host            = var.api.host
  }
  protected = var.protected
  log_days  = var.log_days
}

module "stream" {
  source = "../stream"
  name   = local.name
  package = (
    var.stream_lambda && var.code_version != null
    ? { bucket = module.lake.bucket, key = "${var.lake.prefix}/${local.code}/lambda.zip" }
    : null
  )
  retention_hours = var.stream_hours
  environment     = module.serving.environment
  lake            = module.lake
  policies        = [module.serving.policies.read, module.serving.policies.stream]
  log_days        = var.log_days
}

module "queue" {
  source         = "../queue"
  name           = local.name
  network        = var.network
  cluster        = module.serving.cluster
  image          = var.image
  repository_arn = module.serving.repository.arn
  tasks          = { min = var.workers.min, max = var.workers.max }
  reply_to       = var.workers.reply_to
  reply_arns     = var.reply_queue_arns
  environment    = module.serving.environment
  lake           = module.lake
  policies       = [module.serving.policies.read, module.serving.policies.answer]
  log_days       = var.log_days
}

module "orchestration" {
  source  = "../orchestration"
  name    = local.name
  kind    = var.airflow.kind
  image   = var.airflow.image
  port    = var.airflow.port
  mwaa    = var.airflow.mwaa
  network = var.network
  cluster = module.serving.cluster
  balancer = merge(module.serving.balancer, {
    certificate_arn = var.api.certificate_arn
    allowed_cidrs   = var.api.airflow_cidrs
    host            = var.api.host
  })
  clients       = var.image == null ? {} : { api = module.serving.api_security_group_id }
  environment   = local.environment
  lake          = module.lake
  input_buckets = module.emr.input_buckets
  emr           = module.emr
  database      = var.airflow.database
  protected     = var.protected
  log_days      = var.log_days
}

module "reporting" {
  source   = "../reporting"
  name     = local.name
  network  = var.network
  lake     = module.lake
  athena   = var.athena
  scan_gib = var.scan_gib
  postgres = var.postgres
  clients = {
    jobs     = module.emr.jobs_security_group_id
    primary  = module.emr.primary_security_group_id
    clusters = module.emr.core_security_group_id
  }
  protected = var.protected
}

module "sagemaker" {
  source         = "../sagemaker"
  count          = var.sagemaker == null ? 0 : 1
  name           = local.name
  network        = var.network
  image          = var.image
  repository_arn = module.serving.repository.arn
  instance       = var.sagemaker
  environment    = module.serving.environment
  lake           = module.lake
  policies       = [module.serving.policies.read]
  log_days       = var.log_days
}

module "monitoring" {
  source      = "../monitoring"
  name        = local.name
  emails      = var.alarms.emails
  budget_usd  = var.alarms.budget_usd
  night_hours = var.alarms.night_hours
  api = {
    cluster       = module.serving.cluster
    service       = module.serving.api_service
    balancer      = module.serving.balancer.suffix
    target        = module.serving.balancer.target_suffix
    latency_p99_s = var.api.latency_p99_s
  }
  application_id = module.emr.application_id
  tables         = module.serving.tables
  stream         = { name = module.stream.stream, function = module.stream.function }
  queues         = { requests = module.queue.requests, dead = concat(module.queue.dead, [module.stream.quarantine]) }
  key_arn        = module.lake.key_arn
  log_days       = var.log_days
}
