"""`make airflow`: a real Airflow on the DAGs here: scheduler, API server and UI, DAG processor, triggerer."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from jobs.edge.airflow import airflow_environment

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
LOG_PORT, TRIGGER_LOG_PORT = 8793, 8794
"""Where the scheduler and the triggerer serve task logs to the UI."""
READY_SECONDS = 120
STOP_SECONDS = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="bootstrap.serve", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    port = parser.parse_args().port
    if taken := [p for p in (port, LOG_PORT, TRIGGER_LOG_PORT) if not _is_free(p)]:
        remedy = "choose another with `make airflow PORT=8090`" if taken[0] == port else "end what listens there"
        print(f"formcast: Port {taken[0]} of {HOST} is in use: {remedy}.", file=sys.stderr)
        return 4
    log = ROOT / "logs" / "airflow.log"
    log.parent.mkdir(exist_ok=True)
    url = f"http://{HOST}:{port}"
    print(f"Starting Airflow on {url} ... (log: {log})", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with log.open("ab") as out:
        child = subprocess.Popen(
            [str(ROOT / ".venv-airflow" / "bin" / "airflow"), "standalone"],
            env=airflow_environment(ROOT) | _server_settings(port, url),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        if not _wait_ready(url, child):
            print(f"formcast: Airflow did not come up; {log} says why.", file=sys.stderr)
            return 1
        passwords = ROOT / ".airflow" / "simple_auth_manager_passwords.json.generated"
        print(f"Airflow is at {url}: user admin, password in {passwords}. Ctrl-C ends it.", flush=True)
        return child.wait()
    except KeyboardInterrupt:
        print("Ending Airflow ...", flush=True)
        return 0
    finally:
        _stop(child)


def _server_settings(port: int, url: str) -> dict[str, str]:
    programs = ROOT / ".venv-airflow" / "bin"
    return {
        # `standalone` starts its parts by name.
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__WORKERS": "1",
        "FORMCAST_INPUT": os.environ.get("FORMCAST_INPUT") or str(ROOT / "data" / "sample.csv"),
    }


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _wait_ready(url: str, child: subprocess.Popen[bytes]) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads back to this machine
    for _ in range(READY_SECONDS * 2):
        if child.poll() is not None:
            return False
        try:
            with direct.open(f"{url}/api/v2/monitor/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ask as Ctrl-C would, wait, then kill the group."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
