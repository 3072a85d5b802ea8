output "formcast" {
  description = "All that operators need: FORMCAST_* of Airflow and workers, addresses, secrets, names."
  value       = module.formcast
}
