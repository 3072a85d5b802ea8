variable "name" {
  type        = string
  description = "What the names of all resources begin with: <project>-<env>."
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "Where tasks run: private subnets that reach AWS's services."
}

variable "balancer" {
  type = object({
    subnet_ids      = list(string)
    internal        = bool
    allowed_cidrs   = list(string)
    certificate_arn = string
    host            = string
  })
  description = "The load balancer: its subnets, whether it is inside only, who may connect, certificate and host name."
}

variable "image" {
  type        = string
  description = "Image of API and worker. Null: not pushed yet, no API is started."
}

variable "size" {
  type = object({
    cpu    = number
    memory = number
  })
  description = "Of an API task: cpu in 1/1024 of a virtual CPU, memory in MiB."
}

variable "tasks" {
  type = object({
    min = number
    max = number
  })
  description = "How many API tasks run at least and at most."
}

variable "lake" {
  type = object({
    uri                 = string
    key_arn             = string
    read_serving_policy = string
  })
  description = "The lake: FORMCAST_LAKE, its key, and the policy of who reads its published generations."
}

variable "airflow" {
  type = object({
    url        = string
    user       = string
    secret_arn = string
  })
  description = "Airflow that POST /v1/retrain asks, its user, and the secret with his `password`. Null: the API cannot retrain."
}

variable "protected" {
  type        = bool
  description = "Whether tables and load balancer cannot be deleted."
}

variable "log_days" {
  type        = number
  description = "Days for which logs are kept."
}
