# What differs between environments; the sizes of `dev` and `prod` stand in envs/<env>/main.tf.

variable "project" {
  type        = string
  default     = "formcast"
  description = "What all names begin with."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,14}$", var.project))
    error_message = "The project is 2 to 15 lower case letters and digits: names of load balancers leave no room for more."
  }
}

variable "env" {
  type        = string
  description = "The environment, such as dev or prod."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,5}$", var.env))
    error_message = "The environment is 2 to 6 lower case letters and digits."
  }
}

variable "protected" {
  type        = bool
  description = "Whether data, tables and load balancer cannot be deleted by `terraform destroy`."
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "The VPC, and its private subnets in two zones or more, with a route to AWS's services."

  validation {
    condition     = length(distinct(var.network.subnet_ids)) >= 2
    error_message = "The network needs two private subnets or more, in different zones."
  }
}

variable "api" {
  type = object({
    certificate_arn = string
    host            = string
    subnet_ids      = optional(list(string))
    internal        = optional(bool, true)
    allowed_cidrs   = list(string)
    airflow_cidrs   = optional(list(string), [])
    cpu             = optional(number, 1024)
    memory          = optional(number, 2048)
    min             = optional(number, 2)
    max             = optional(number, 4)
    latency_p99_s   = optional(number, 0.25)
  })
  description = "The API: certificate and host name, who may connect, whether from inside only (then subnet_ids are the network's), size of a task, and how many run."

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:(acm|iam):", var.api.certificate_arn))
    error_message = "certificate_arn is the ARN of a certificate in ACM: the API speaks HTTPS only."
  }

  validation {
    condition     = alltrue([for cidr in concat(var.api.allowed_cidrs, var.api.airflow_cidrs) : can(cidrnetmask(cidr))])
    error_message = "allowed_cidrs and airflow_cidrs are address ranges such as 10.0.0.0/8."
  }

  validation {
    condition     = !contains(var.api.airflow_cidrs, "0.0.0.0/0")
    error_message = "Airflow is not for everybody: airflow_cidrs names whose it is."
  }

  validation {
    condition     = var.api.internal || var.api.subnet_ids != null
    error_message = "An API that is reached from outside needs public subnets: set subnet_ids."
  }
}

variable "image" {
  type        = string
  default     = null
  description = "Image of API and worker, by its digest, after the first night. Null: neither is started."

  validation {
    condition     = var.image == null || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image is named by its digest, <repository>@sha256:<64 hex digits>, so that it never changes."
  }
}

variable "code_version" {
  type        = string
  default     = null
  description = "Version that `make deploy-code` has uploaded. Null: none yet."

  validation {
    condition     = var.code_version == null || can(regex("^[0-9A-Za-z][0-9A-Za-z._+-]*$", var.code_version))
    error_message = "The code's version is letters, digits and . _ + -."
  }
}

variable "stream_lambda" {
  type        = bool
  default     = true
  description = "Whether a Lambda scores the stream, once `code_version` is there. False: `formcast stream` does, on Spark."
}

variable "lake" {
  type = object({
    bucket           = optional(string)
    prefix           = optional(string, "lake")
    old_version_days = optional(number, 30)
    log_days         = optional(number, 90)
  })
  default     = {}
  description = "The lake: its bucket's name, its folder there, days for which old versions of objects and logs are kept."
}

variable "input_arns" {
  type        = list(string)
  default     = []
  description = "ARNs of objects outside the lake that jobs may read, such as arn:aws:s3:::dumps/forms/*."

  validation {
    condition     = alltrue([for arn in var.input_arns : can(regex("^arn:aws[a-z-]*:s3:::[^/*]+/.+", arn))])
    error_message = "input_arns name objects of one bucket each, such as arn:aws:s3:::dumps/forms/*."
  }
}

variable "emr_serverless" {
  type = object({
    release       = optional(string, "emr-spark-8.1.0")
    vcpus         = optional(number, 40)
    memory_gb     = optional(number, 160)
    disk_gb       = optional(number, 800)
    idle_minutes  = optional(number, 5)
    initial_count = optional(number, 0)
  })
  default     = {}
  description = "The application of EMR Serverless: most it may use at once, idle minutes until it stops, executors that stand ready. Null: none."
}

variable "workers" {
  type = object({
    min      = optional(number, 1)
    max      = optional(number, 4)
    reply_to = optional(string, "queue")
  })
  default     = {}
  description = "Queue workers: how many run, and whether answers go to a queue or a topic."
}

variable "reply_queue_arns" {
  type        = list(string)
  default     = []
  description = "ARNs of further queues to which workers may answer, where a request names one in `reply_to`."

  validation {
    condition     = alltrue([for arn in var.reply_queue_arns : can(regex("^arn:aws[a-z-]*:sqs:[a-z0-9-]+:\\d{12}:[0-9A-Za-z_.-]+$", arn))])
    error_message = "reply_queue_arns name queues, each by its whole ARN."
  }
}

variable "stream_hours" {
  type        = number
  default     = 48
  description = "Hours for which Kinesis keeps events: 48 or more."
}

variable "airflow" {
  type = object({
    kind  = optional(string, "none")
    image = optional(string)
    port  = optional(number, 8443)
    mwaa = optional(object({
      version = optional(string, "3.0.6")
      class   = optional(string, "mw1.small")
      workers = optional(number, 2)
    }), {})
    database = optional(object({
      class  = optional(string, "db.t4g.micro")
      gib    = optional(number, 20)
      max    = optional(number, 100)
      zones  = optional(number, 1)
      backup = optional(number, 7)
    }), {})
  })
  default     = {}
  description = "Airflow: none (it runs somewhere else), fargate with an image of it, or mwaa."
}

variable "athena" {
  type        = bool
  default     = true
  description = "Whether analysts get a workgroup of Athena."
}

variable "scan_gib" {
  type        = number
  default     = 100
  description = "A query of Athena that reads more GiB is stopped."

  validation {
    condition     = var.scan_gib >= 1
    error_message = "A query of Athena may read 1 GiB or more."
  }
}

variable "postgres" {
  type = object({
    class  = optional(string, "db.t4g.small")
    gib    = optional(number, 20)
    max    = optional(number, 200)
    zones  = optional(number, 1)
    backup = optional(number, 7)
  })
  default     = null
  description = "A PostgreSQL for `formcast export`. Null: none."
}

variable "sagemaker" {
  type = object({
    type = optional(string, "ml.c5.large")
    min  = optional(number, 1)
    max  = optional(number, 2)
  })
  default     = null
  description = "An endpoint of SageMaker with the same image, after the first night; it needs `image`. Null: none."

  validation {
    condition     = var.sagemaker == null || var.image != null
    error_message = "The SageMaker endpoint runs the image: set image."
  }
}

variable "alarms" {
  type = object({
    emails      = list(string)
    budget_usd  = number
    night_hours = optional(number, 30)
  })
  description = "Who is told, the cost of a month in USD that is too much (null: no budget), and hours without a job after which the night is missed (0: no nights)."
}

variable "log_days" {
  type        = number
  default     = 30
  description = "Days for which CloudWatch keeps logs."

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_days)
    error_message = "CloudWatch keeps logs for 7, 14, 30, 60, 90, 180 or 365 days."
  }
}
