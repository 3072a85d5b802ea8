# What only an account knows. The environments' files are links to this one: they differ in main.tf alone.

variable "region" {
  type        = string
  description = "AWS's region."
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "The VPC, and its private subnets in two zones or more, with a route to AWS's services."
}

variable "api" {
  type = object({
    certificate_arn = string
    host            = string
    allowed_cidrs   = list(string)
    airflow_cidrs   = optional(list(string), [])
    internal        = optional(bool, true)
    subnet_ids      = optional(list(string))
  })
  description = "The API: certificate, host name, who may connect to it (and to Airflow), whether from inside only."
}

variable "alarms" {
  type = object({
    emails     = list(string)
    budget_usd = number
  })
  description = "Who is told of alarms, and the cost of a month in USD that is one. Null: no budget."
}

variable "image" {
  type        = string
  default     = null
  description = "Image of API and worker, <repository>@sha256:<digest>: set after the first night. Null: neither runs."
}

variable "code_version" {
  type        = string
  default     = null
  description = "Version that `make deploy-code` has uploaded. Null: none yet."
}

variable "stream_lambda" {
  type        = bool
  default     = true
  description = "Whether a Lambda scores the stream, once `code_version` is there. False: `formcast stream` does, on Spark."
}

variable "input_arns" {
  type        = list(string)
  default     = []
  description = "ARNs of objects outside the lake that jobs may read, such as arn:aws:s3:::dumps/forms/*."
}

variable "reply_queue_arns" {
  type        = list(string)
  default     = []
  description = "ARNs of further queues to which workers may answer, where a request names one in `reply_to`."
}

variable "airflow" {
  type = object({
    kind  = optional(string, "none")
    image = optional(string)
  })
  default     = {}
  description = "Airflow: none (it runs somewhere else), fargate with an image of it, or mwaa."
}

variable "emr_serverless" {
  type        = bool
  default     = true
  description = "Whether there is an application of EMR Serverless; without it, jobs run on transient clusters."
}

variable "postgres" {
  type        = bool
  default     = false
  description = "Whether there is a PostgreSQL for `formcast export`."
}

variable "sagemaker" {
  type        = bool
  default     = false
  description = "Whether there is an endpoint of SageMaker: set after the first night, it starts only with something published."
}
