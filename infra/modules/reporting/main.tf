locals {
  # As jobs/schemas.py has it. Athena reads the columns from the Delta log; these are for people and other catalogs.
  columns = [
    { name = "form_id", type = "string" },
    { name = "predicted_rate", type = "double" },
    { name = "lower", type = "double" },
    { name = "upper", type = "double" },
    { name = "completion_rate", type = "double" },
    { name = "views", type = "bigint" },
    { name = "model_version", type = "string" },
    { name = "run_id", type = "string" },
    { name = "scored_at", type = "timestamp" },
  ]
  location = "${var.lake.uri}/predictions"
  results  = "athena"
}

resource "aws_glue_catalog_database" "this" {
  name        = replace(var.name, "-", "_")
  description = "Tables of ${var.name} for analysts"
}

# Native Delta: Athena (engine 3), Trino and Spark follow the table's log, so that a query sees one whole generation.
resource "aws_glue_catalog_table" "predictions" {
  database_name = aws_glue_catalog_database.this.name
  name          = "predictions"
  description   = "The current score of every form, with the model, run and time that made it"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    EXTERNAL                     = "TRUE"
    classification               = "delta"
    table_type                   = "DELTA"
    "spark.sql.sources.provider" = "delta"
  }

  storage_descriptor {
    location      = local.location
    input_format  = "org.apache.hadoop.mapred.SequenceFileInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
      parameters            = { path = local.location, "serialization.format" = "1" }
    }

    dynamic "columns" {
      for_each = local.columns
      content {
        name = columns.value.name
        type = columns.value.type
      }
    }
  }
}

resource "aws_athena_workgroup" "this" {
  count         = var.athena ? 1 : 0
  name          = var.name
  description   = "Queries on ${var.name}"
  force_destroy = !var.protected

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.scan_gib * 1024 * 1024 * 1024

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location = "${var.lake.uri}/${local.results}/"
      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.lake.key_arn
      }
    }
  }
}

module "postgres" {
  source = "../postgres"
  count  = var.postgres == null ? 0 : 1

  name      = "${var.name}-reporting"
  database  = "formcast"
  network   = var.network
  clients   = var.clients
  instance  = var.postgres
  protected = var.protected
  key_arn   = var.lake.key_arn
}
