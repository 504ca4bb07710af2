"""An S3 store (moto) for tests, which checks credentials."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from typing import Any

import boto3

from tests.support.ports import free_port
from tests.support.stores import S3, running, send

BUCKET = "scans"
_ALLOW = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}
_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [_ALLOW]})


class Store(S3):
    """A store with a bucket, and the keys of a user with all rights to it."""

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def keys(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for page in found for each in page.get("Contents", ())]

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=key)

    @functools.cached_property
    def _client(self) -> Any:
        return _client(self.endpoint, self.key, self.secret)


def _client(endpoint: str, key: str, secret: str, service: str = "s3") -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


@contextlib.contextmanager
def s3_store() -> Iterator[Store]:
    """Runs a store with an empty bucket, which refuses unknown users."""
    port = free_port()
    with running("moto.server", "-H", "127.0.0.1", "-p", str(port), port=port) as endpoint:
        _client(endpoint, "root", "root").create_bucket(Bucket=BUCKET)
        iam = _client(endpoint, "root", "root", "iam")
        iam.create_user(UserName="batch")
        iam.put_user_policy(UserName="batch", PolicyName="all", PolicyDocument=_POLICY)
        created = iam.create_access_key(UserName="batch")["AccessKey"]
        send(f"{endpoint}/moto-api/reset-auth", b"0")
        yield Store(endpoint, created["AccessKeyId"], created["SecretAccessKey"])
