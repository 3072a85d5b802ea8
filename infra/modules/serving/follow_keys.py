"""Beside the API in its task: keeps the file of API keys as the secret in Secrets Manager has it.

The API follows the file. A secret that cannot be read leaves the keys as they were.
"""

import os
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

SECONDS = 15

file = Path(os.environ["FORMCAST_KEYS_FILE"])
secret = os.environ["KEYS_SECRET"]
client = boto3.client("secretsmanager")
file.parent.mkdir(parents=True, exist_ok=True)
known = None
while True:
    try:
        keys = client.get_secret_value(SecretId=secret)["SecretString"]
    except (BotoCoreError, ClientError) as error:
        print(f"The API keys stay as they were: {error}", file=sys.stderr, flush=True)
    else:
        if keys != known:
            part = file.with_suffix(".part")
            part.write_text(keys)
            part.replace(file)
            known = keys
    time.sleep(SECONDS)
