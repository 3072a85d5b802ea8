"""Files of a lake beside its tables, in S3."""

from __future__ import annotations

import boto3
import pytest

from jobs.edge.files import LakeFiles


@pytest.fixture
def files(aws: str) -> LakeFiles:
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": client.meta.region_name})
    return LakeFiles("s3://lake/below")


def test_a_folder_that_is_kept_again_holds_nothing_of_the_attempt_before(files: LakeFiles) -> None:
    """Spark's files have other names each time, and a model's checksum is of all that lies in its folder."""
    for name in ("part-1", "part-2"):
        built = files.workplace("models/m")
        (built / "mllib").mkdir()
        for file in (f"mllib/{name}", "manifest.json"):
            (built / file).write_text(name)
        files.keep(built, "models/m", last="manifest.json")

    folder = files.folder("models/m")
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {"mllib/part-2": "part-2", "manifest.json": "part-2"}
