"""The client of a bucket: made from a config, without asking the server anything."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast

from attrs import field, frozen

from polystore.backends.objects.errors import from_client, from_server, unprintable
from polystore.configs import ObjectConfig
from polystore.core.errors import InvalidSpec, StorageError, Unavailable
from polystore.core.outcome import Failure, Outcome, catch, guard, is_successful

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

__all__ = ["Bucket", "asked", "close_bucket", "open_bucket"]

T = TypeVar("T")

_CLIENT = frozenset(
    (
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "http1_only",
        "http2_keep_alive_interval",
        "http2_keep_alive_timeout",
        "http2_keep_alive_while_idle",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_ca_certificate",
        "proxy_excludes",
        "proxy_url",
        "randomize_addresses",
        "read_timeout",
        "root_certificate",
        "timeout",
        "user_agent",
    )
)
"""The options that are of the HTTP client, by obstore's `ClientConfig`."""

_PATIENCE: Mapping[str, str] = {"connect_timeout": "5s", "read_timeout": "2m", "timeout": "1h"}
"""obstore ends a request, with all its content, after 30 seconds: too few for large objects."""

_VARIABLES: Mapping[str, str] = {
    **dict.fromkeys(("s3", "s3a"), "AWS_"),
    "gs": "GOOGLE_",
    **dict.fromkeys(("az", "adl", "azure", "abfs", "abfss"), "AZURE_"),
}
"""What the environment's variables begin with, by the url's scheme: obstore's own names."""

_MAX_RETRIES = 4
"""A server that refuses the connection is asked for 1.5 seconds, not for the client's minutes."""

_RETRY_S = 60.0

_SECRETS = re.compile(r"secret|password|sas_token|sas_key|session_token|^aws_token$|^token$|key$")
"""Options that hold secrets, by their names."""

_NO_SECRETS = re.compile(r"access_key_id$|kms_key_id$|authority_id$")

_HERE = re.compile(r"(file|memory):", re.IGNORECASE)


@frozen(eq=False)
class Bucket:
    """The handle: obstore's client, and folders that were seen to be no files, with the time."""

    config: ObjectConfig
    store: ObjectStore
    folders: dict[str, float] = field(factory=dict[str, float])


def open_bucket(config: ObjectConfig, /) -> Outcome[Bucket]:
    """Give the client of a bucket. Whether it is there shows at the first request."""
    problem = _refused(config)
    if problem is not None:
        return Failure(problem)

    def made() -> Bucket:
        from obstore.store import from_url

        given = dict(config.options)
        retry = _retry(given)
        client = {name: given.pop(name) for name in tuple(given) if name in _CLIENT}
        options = cast("ClientConfig", {**_PATIENCE, **_in_environment(config.url), **client})
        # What the schemes take is theirs to say: obstore names an option that is none.
        rest = cast("S3Config", given) if given else None
        store = from_url(config.url, config=rest, client_options=options, retry_config=retry)
        return Bucket(config, store)

    def no_client(error: Exception) -> StorageError:
        return from_client(error, config)

    from obstore.exceptions import BaseError

    return guard(made, catch(BaseError, no_client), catch(ValueError, no_client))


def close_bucket(_bucket: Bucket, /) -> None:
    """Do nothing: connections end with the client, when nobody has it any more."""


def _refused(config: ObjectConfig) -> InvalidSpec | None:
    if _HERE.match(config.url):
        message = "An ObjectConfig is for object storage, not for files or memory of this machine."
        advice = "Use a DiskConfig for a folder, and a MemoryConfig for memory."
        return InvalidSpec("", config, message, advice, "ObjectConfig.url")
    names = (name.lower() for name, _ in config.options)
    secret = next((it for it in names if _SECRETS.search(it) and not _NO_SECRETS.search(it)), None)
    if secret is None:
        return None
    return InvalidSpec(
        "",
        None,  # not the config, whose text would show the secret
        f"The options of an ObjectConfig hold a secret, {secret!r}; configs go into histories.",
        "Give it by the environment, as the provider's tools take it (AWS_SECRET_ACCESS_KEY).",
        "ObjectConfig.options",
    )


def _in_environment(url: str) -> dict[str, str]:
    """Give the client's options that variables set, such as `AWS_ALLOW_HTTP`.

    obstore reads them itself, but for a client that is given any options, as ours is.
    """
    prefix = _VARIABLES.get(url.partition(":")[0].lower())
    if prefix is None:
        return {}
    names = {f"{prefix}{name}".upper(): name for name in _CLIENT}
    return {
        name: os.environ[variable] for variable, name in names.items() if os.environ.get(variable)
    }


def _retry(given: dict[str, str]) -> RetryConfig:
    """Take what is about trying again out of the options."""
    return {
        "max_retries": int(given.pop("max_retries", _MAX_RETRIES)),
        "retry_timeout": timedelta(seconds=float(given.pop("retry_timeout", _RETRY_S))),
        "backoff": {
            "init_backoff": timedelta(seconds=float(given.pop("init_backoff", 0.1))),
            "max_backoff": timedelta(seconds=float(given.pop("max_backoff", 5.0))),
        },
    }


@cache
def _first_process() -> int:
    """Give the process that used object storage first: this one, or what it was forked from."""
    return os.getpid()


def asked(bucket: Bucket, key: str, action: Callable[[], Outcome[T]]) -> Outcome[T]:
    """Give what an action that asks the server gives, or the error that its exception becomes."""
    if _first_process() != os.getpid():
        return Failure(
            Unavailable(
                key,
                bucket.config,
                "This process was forked from one that had used object storage, and lacks the "
                "threads of its client.",
                'Start processes by "spawn" or "forkserver", as multiprocessing.get_context does.',
            )
        )
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        return Failure(unprintable(key, bucket.config))
    from obstore.exceptions import BaseError

    def becomes(error: Exception) -> StorageError:
        return from_server(error, key, bucket.config)

    found = guard(
        action,
        catch(BaseError, becomes),
        catch(FileNotFoundError, becomes),
        catch(NotImplementedError, becomes),
    )
    return found.unwrap() if is_successful(found) else Failure(found.failure())
