"""Settings of the speed layer, each once; the environment (`FORMCAST_*`) sets them, flags override."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from speed.errors import SpeedError


class LakeSettings(BaseSettings):
    """What the batch layer and the speed layer share. Frozen: nobody changes what another one sees."""

    model_config = SettingsConfigDict(env_prefix="FORMCAST_", frozen=True, env_ignore_empty=True)

    lake: str = Field("lake", description="Where the tables are: a folder.")
    dynamodb_table: str = Field(
        "", description="DynamoDB table of published scores; <name>-realtime beside it. Empty: LMDB alone."
    )


class ServeSettings(LakeSettings):
    """The settings of an API worker, a stream, a queue worker or a Lambda."""

    store: Literal["lmdb", "dynamodb"] = Field("lmdb", description="Where published scores are looked up.")
    cache: str = Field("", description="Folder for generations pulled from S3. Empty: a temporary one.")
    watch_seconds: float = Field(1.0, gt=0, description="How often to look for a new generation.")

    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that the API listens on.")
    workers: int = Field(2, ge=1, description="Processes of the API.")
    api_open: bool = Field(
        False, description="Development only: read and score without a key, on a loopback address. Retrain needs one."
    )
    sagemaker: bool = Field(
        False, description="Answer /ping and /invocations without keys: where only SageMaker can reach the port."
    )
    keys_file: str = Field("", description="File of hashed API keys. Empty: serving/keys.json of the lake.")
    max_body_bytes: int = Field(16 << 20, ge=1024, description="A larger request is refused (413).")
    max_vectors: int = Field(10_000, ge=1, description="More vectors or ids in one request are refused (413).")
    max_in_flight: int = Field(256, ge=1, description="More requests at once in a worker are answered 503.")
    max_in_flight_per_key: int = Field(192, ge=1, description="More at once by one key are answered 429.")
    access_log: bool = Field(True, description="Write a JSON line a request to standard output.")
    public_url: str = Field("", description="How clients reach the API, for links in answers. Empty: as they asked.")

    airflow_url: str = Field("", description="Airflow's API server, for POST /v1/retrain.")
    airflow_user: str = Field("", description="Airflow's user who triggers.")
    airflow_password: SecretStr = Field(SecretStr(""), description="That user's password; only from the environment.")

    request_queue: str = Field("", description="SQS queue URL that `formcast worker` reads.")
    reply_queue: str = Field("", description="SQS queue URL for its answers, unless a request names its own.")
    reply_topic: str = Field("", description="SNS topic ARN for its answers, in place of the queue.")
    dead_letter_queue: str = Field("", description="SQS queue URL for what could not be answered or read.")
    max_receives: int = Field(5, ge=1, description="After so many tries a message goes to the dead-letter queue.")
    queue_threads: int = Field(
        4, ge=1, description="Batches of ten messages that a queue worker has in hand at once."
    )
    visibility_seconds: int = Field(
        60,
        ge=3,
        le=43_200,
        description="How long a message in hand is hidden from other workers; it is hidden on in time.",
    )
    retry_seconds: float = Field(
        15,
        ge=0,
        description="Wait before a message that failed is tried again; doubles with each try, up to 15 minutes.",
    )
    answer_days: float = Field(
        15, gt=0, description="How long answers are kept for requests that come again; SQS keeps a message 14 days."
    )
    stop_seconds: float = Field(25, gt=0, description="How long a stopping worker may finish what it has in hand.")
    stream: str = Field("", description="Kinesis stream of new and changed forms.")

    @property
    def serving(self) -> str:
        """Where generations are: a folder or an s3:// prefix."""
        return f"{self.lake.rstrip('/')}/serving"

    @property
    def keys_path(self) -> Path:
        return Path(self.keys_file or f"{self.serving}/keys.json")


Read = TypeVar("Read", bound=LakeSettings)


def read_settings(kind: type[Read], **flags: Any) -> Read:
    """Settings from the environment, below the flags that are given. Raises SpeedError for a value that cannot be."""
    try:
        return kind(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = f"FORMCAST_{str(first['loc'][0]).upper()}"
        raise SpeedError(f"The setting {name} cannot be {first['input']!r}: {first['msg'].lower()}.") from error
