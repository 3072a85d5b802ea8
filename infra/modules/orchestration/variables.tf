variable "name" {
  type        = string
  description = "What the names of all resources begin with: <project>-<env>."
}

variable "kind" {
  type        = string
  description = "Who runs Airflow: mwaa (AWS), fargate (here), or none (somewhere else; it gets a policy for its role)."

  validation {
    condition     = contains(["none", "fargate", "mwaa"], var.kind)
    error_message = "Airflow is run by none, fargate or mwaa."
  }
}

variable "image" {
  type        = string
  description = "For fargate: an image of Airflow with its amazon provider, and the DAGs in /opt/airflow/dags."

  validation {
    condition     = var.kind != "fargate" || var.image != null
    error_message = "Airflow on Fargate needs an image: set airflow_image."
  }
}

variable "mwaa" {
  type = object({
    version = string
    class   = string
    workers = number
  })
  description = "For mwaa: version of Airflow, class of the environment, and how many workers there are at most."
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "Where Airflow runs: private subnets that reach AWS's services, two for mwaa."
}

variable "balancer" {
  type = object({
    arn               = string
    security_group_id = string
    certificate_arn   = string
    allowed_cidrs     = list(string)
    host              = string
  })
  description = "For fargate: the load balancer, on which Airflow has a port of its own, and who may connect to that."
}

variable "clients" {
  type        = map(string)
  description = "For fargate: security groups of programs that ask Airflow, by what they are."
}

variable "port" {
  type        = number
  description = "For fargate: the port of the load balancer on which Airflow answers."
}

variable "cluster" {
  type        = string
  description = "For fargate: name of the ECS cluster."
}

variable "environment" {
  type        = map(string)
  description = "FORMCAST_* of Airflow's workers."
}

variable "lake" {
  type = object({
    bucket      = string
    bucket_arn  = string
    uri         = string
    prefix      = string
    objects_arn = string
    key_arn     = string
  })
  description = "The lake: its bucket, its folder, its key."
}

variable "input_buckets" {
  type        = list(string)
  description = "ARNs of buckets outside the lake whose files Airflow measures, to size jobs."
}

variable "emr" {
  type = object({
    application_id   = string
    job_role_arn     = string
    cluster_role_arn = string
  })
  description = "What Airflow starts jobs on, and the roles that it hands to them."
}

variable "database" {
  type = object({
    class  = string
    gib    = number
    max    = number
    zones  = number
    backup = number
  })
  description = "For fargate: the PostgreSQL of Airflow's metadata."
}

variable "protected" {
  type        = bool
  description = "Whether Airflow's database cannot be deleted."
}

variable "log_days" {
  type        = number
  description = "Days for which logs are kept."
}
