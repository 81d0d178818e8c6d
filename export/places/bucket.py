"""A folder in an S3 bucket: `s3://bucket/prefix`, on Amazon or any server that speaks its language.

The endpoint comes from AWS_ENDPOINT_URL_S3, keys and region from where boto3 looks for them. Every object is
sent with its SHA-256, so that what the server keeps is what was sent.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

SCHEME = "s3://"
THREADS = 16
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PART = 32 << 20
_clients: list[Any] = []


class BucketError(RuntimeError):
    """The server or the network refuses; one line for the user."""


class BadAddress(ValueError):
    """No `s3://bucket/prefix`; one line for the user."""


def client() -> Any:
    """The process's one client; it may be used by several threads."""
    if not _clients:
        import boto3  # a third of a second, and most releases go to folders
        from botocore.config import Config

        session = boto3.session.Session()
        config = Config(
            signature_version="s3v4",
            max_pool_connections=THREADS,
            retries={"max_attempts": 5, "mode": "standard"},
            # Servers other than Amazon's often refuse boto3's newer checksums; ours are sent by name.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        region = session.region_name or "us-east-1"
        _clients.append(session.client("s3", region_name=region, config=config))
    return _clients[0]


def forget_client() -> None:
    """The next use makes a new client, from the environment as it is then."""
    _clients.clear()


@dataclass(frozen=True)
class BucketFolder:
    """The objects of `bucket` whose keys begin with `prefix/`."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> BucketFolder:
        """Read `s3://bucket/prefix`; the prefix may be empty.

        Raises:
            BadAddress: another scheme, or no name that a bucket can have.
        """
        bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
        parts = [part for part in prefix.split("/") if part]
        if not url.startswith(SCHEME) or not _BUCKET.fullmatch(bucket) or {".", ".."} & set(parts):
            raise BadAddress(f"{url} is no address such as s3://bucket/prefix")
        return cls(bucket, "/".join(parts))

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def name(self) -> str:
        """The last part of the prefix."""
        return self.prefix.rpartition("/")[2]

    @property
    def parent(self) -> BucketFolder:
        """The folder that holds this one."""
        return BucketFolder(self.bucket, self.prefix.rpartition("/")[0])

    def below(self, name: str) -> BucketFolder:
        """A folder in this one."""
        return BucketFolder(self.bucket, self.key(name))

    def key(self, path: str) -> str:
        """The whole key of a path inside the folder."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def put(self, path: str, data: bytes, *, only_new: bool = False) -> None:
        """Keep an object, whole or not at all.

        Args:
            only_new: refuse where one is there already (servers that cannot tell overwrite it).

        Raises:
            BucketError: it was refused.
        """
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        condition = {"IfNoneMatch": "*"} if only_new else {}
        with _told(self, path):
            client().put_object(
                Bucket=self.bucket, Key=self.key(path), Body=data, ChecksumSHA256=digest, **condition
            )

    def upload(self, path: str, file: Path) -> None:
        """Keep a file of any size, in parts where it is large.

        Raises:
            BucketError: it was refused.
        """
        from boto3.s3.transfer import TransferConfig

        with _told(self, path):
            client().upload_file(
                str(file),
                self.bucket,
                self.key(path),
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
                Config=TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART),
            )

    def get(self, path: str) -> bytes | None:
        """An object's bytes; None where there is none.

        Raises:
            BucketError: it cannot be read.
        """
        with _told(self, path):
            try:
                return client().get_object(Bucket=self.bucket, Key=self.key(path))["Body"].read()
            except ClientError as error:
                if _code(error) in ("404", "NoSuchKey"):
                    return None
                raise

    def download(self, path: str, file: Path) -> None:
        """An object into a file.

        Raises:
            BucketError: there is none, or it cannot be read.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        with _told(self, path):
            client().download_file(self.bucket, self.key(path), str(file))

    def has(self, path: str) -> bool:
        """Whether there is such an object.

        Raises:
            BucketError: nobody can tell.
        """
        with _told(self, path):
            try:
                client().head_object(Bucket=self.bucket, Key=self.key(path))
            except ClientError as error:
                if _code(error) in ("404", "NoSuchKey"):
                    return False
                raise
        return True

    def paths(self) -> Iterator[str]:
        """Every object, as a path inside the folder, in order.

        Raises:
            BucketError: the bucket is not there or cannot be listed.
        """
        return (path for path, _ in self.sizes())

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Every object with its bytes, in order.

        Raises:
            BucketError: the bucket is not there or cannot be listed.
        """
        start = self.key("")
        with _told(self, ""):
            pages = client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start)
            for page in pages:
                for item in page.get("Contents", []):
                    yield item["Key"].removeprefix(start), int(item["Size"])

    def delete(self, path: str) -> None:
        """Remove an object, if it is there.

        Raises:
            BucketError: it was refused.
        """
        with _told(self, path):
            client().delete_object(Bucket=self.bucket, Key=self.key(path))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _told(folder: BucketFolder, path: str) -> Iterator[None]:
    """Everything that boto3 raises as one line."""
    from boto3.exceptions import Boto3Error

    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        words = " ".join(str(error).split())[:300]
        raise BucketError(f"{folder}{f'/{path}' if path else ''}: {words}") from None
