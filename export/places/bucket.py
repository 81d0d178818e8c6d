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
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)

SCHEME = "s3://"
THREADS = 16
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PART = 32 << 20
_clients: list[Any] = []


class BucketError(RuntimeError):
    """The server or the network refuses; one line for the user."""


class NoBucket(BucketError):
    """There is no bucket of this name."""


class ObjectExists(BucketError):
    """Something is there already, and was to be new."""


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
            only_new: refuse where one is there already; on servers that ignore the condition (rclone's) one
                that was put there in between is overwritten.

        Raises:
            ObjectExists: with `only_new`.
            BucketError: it was refused.
        """
        if only_new and self.has(path):
            raise ObjectExists(f"{self}/{path}: is there already")
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        sent = {"Bucket": self.bucket, "Key": self.key(path), "Body": data, "ChecksumSHA256": digest}
        with _told(self, path):
            try:
                client().put_object(**sent, **({"IfNoneMatch": "*"} if only_new else {}))
            except ClientError as error:
                if only_new and _code(error) in _THERE:
                    raise ObjectExists(f"{self}/{path}: is there already") from None
                if not only_new or _code(error) not in _NO_CONDITIONS:
                    raise
                client().put_object(**sent)

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
                if _code(error) in _MISSING:
                    return None
                raise

    def get_with_age(self, path: str) -> tuple[bytes, float] | None:
        """An object's bytes and the seconds since it was put, by the server's clock; None where none is.

        Raises:
            BucketError: it cannot be read.
        """
        with _told(self, path):
            try:
                answer = client().get_object(Bucket=self.bucket, Key=self.key(path))
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
            now = parsedate_to_datetime(date) if date else datetime.now(UTC)
            return answer["Body"].read(), max(0.0, (now - answer["LastModified"]).total_seconds())

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
                if _code(error) not in _MISSING:
                    raise
                # The answer is the same where there is no bucket at all; a list tells.
                client().list_objects_v2(Bucket=self.bucket, Prefix=self.key(path), MaxKeys=1)
                return False
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
    """Everything that boto3 raises as one line that says what to do."""
    from boto3.exceptions import Boto3Error

    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        kind = NoBucket if isinstance(error, ClientError) and _code(error) == "NoSuchBucket" else BucketError
        raise kind(f"{folder}{f'/{path}' if path else ''}: {_words(error, folder)}") from None


def _words(error: Exception, folder: BucketFolder) -> str:
    cause = error.__context__ if not isinstance(error, (ClientError, BotoCoreError)) else error
    raw = " ".join(str(error).split())[:300]
    if isinstance(cause, ClientError):
        code = _code(cause)
        hint = _HINTS.get(code, "")
        return f"{hint.format(bucket=folder.bucket)} ({code})" if hint else raw
    if isinstance(cause, (NoCredentialsError, PartialCredentialsError)):
        return "there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(cause, (EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError)):
        return f"{raw}: no server answers there; see AWS_ENDPOINT_URL_S3, and the network"
    return raw


_MISSING = ("404", "NoSuchKey")
_THERE = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_NO_CONDITIONS = ("NotImplemented", "501")
_DENIED = "these keys may not do this; listing, reading, writing and deleting objects of {bucket} are needed"
_WRONG_KEY = "the server does not know this access key; see AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL_S3"
_OTHER_PAIR = "the secret key does not belong to the access key; see AWS_SECRET_ACCESS_KEY"
_HINTS = {
    "NoSuchBucket": "there is no bucket {bucket}; make it first, or see AWS_ENDPOINT_URL_S3",
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "AllAccessDisabled": _DENIED,
    "InvalidAccessKeyId": _WRONG_KEY,
    "InvalidClientTokenId": _WRONG_KEY,
    "SignatureDoesNotMatch": _OTHER_PAIR,
    "ExpiredToken": "the keys have expired; get new ones",
    "RequestTimeTooSkewed": "this machine's clock is wrong by more than the server allows",
    "PermanentRedirect": "{bucket} is in another region; see AWS_DEFAULT_REGION",
    "NoSuchKey": "there is no such object",
    "404": "there is no such object, or no bucket {bucket}",
}
"""What to do about what servers answer; HEAD has the number alone."""
