"""What obstore says, as polystore's errors: without addresses, which may hold secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from polystore.backends.oserrors import exists_already
from polystore.core.errors import (
    InvalidKey,
    InvalidSpec,
    NoSpace,
    NotFound,
    PermissionDenied,
    StorageError,
    TooLarge,
    Unavailable,
    UnsupportedOperation,
)

if TYPE_CHECKING:
    from polystore.configs import ObjectConfig

__all__ = ["from_client", "from_server", "nothing_there", "reason_of", "unprintable"]

_ADDRESS = re.compile(r"\w+://\S+")
_CODE = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_STATUS = re.compile(r"status code: (\d{3}[\w ]*)")
_KIND = re.compile(r"\bkind: (Connect|Timeout|Interrupted|Decode)\b")
_KINDS = {
    "Connect": "no connection to the server came about",
    "Timeout": "the server did not answer in time",
    "Interrupted": "the connection was broken off",
    "Decode": "the connection was broken off",
}


def reason_of(error: Exception) -> str:
    """Give what was wrong, in the server's words or in ours, without addresses.

    >>> reason_of(ValueError("PUT http://me:pw@host/a?sig=1 - status code: 503 Slow Down: busy"))
    '503 Slow Down'
    """
    text = str(error)
    code, message = _CODE.search(text), _MESSAGE.search(text)
    if code is not None:
        return code[1] if message is None else f"{code[1]}, {message[1].rstrip('.')}"
    status, kind = _STATUS.search(text), _KIND.search(text)
    if status is not None:
        return status[1].strip()
    if kind is not None:
        return _KINDS[kind[1]]
    lines = text.strip().splitlines()
    return _ADDRESS.sub("...", lines[0])[:200] if lines else type(error).__name__


def from_client(error: Exception, config: ObjectConfig) -> InvalidSpec:
    """Give the error for a config of which obstore can make no client."""
    where = f"ObjectConfig.{'url' if 'URL' in str(error) else 'options'}"
    return InvalidSpec(
        "",
        config,
        f"obstore takes no such config: {reason_of(error)}.",
        "Give a url such as 's3://bucket/prefix', and options by obstore's names for them.",
        where,
    )


def nothing_there(key: str, config: object) -> NotFound:
    """Give the error for a key under which there is nothing."""
    message = f"Nothing is stored under {key!r}."
    return NotFound(key, config, message, "See list_files(store) for the keys there are.")


def unprintable(key: str, config: object) -> InvalidKey:
    """Give the error for a key that obstore takes for no object's name."""
    return InvalidKey(
        key,
        config,
        f"{key!r} is no name for an object: it has a control character in it.",
        "Use a key of characters that can be printed.",
    )


def from_server(error: Exception, key: str, config: object) -> StorageError:
    """Give the typed error for what obstore raised about a key, `""` for the whole bucket."""
    from obstore.exceptions import AlreadyExistsError, InvalidPathError

    text = str(error)
    if isinstance(error, AlreadyExistsError):
        return exists_already(key, config)
    if isinstance(error, InvalidPathError):
        return _odd_name(error, key, config)
    for pattern, kind, message, advice in _SENTENCES:
        if re.search(pattern, text):
            about = repr(key) if key else "the bucket"
            said = message.format(about=about, reason=reason_of(error))
            return kind(key, config, said, advice)
    if isinstance(error, FileNotFoundError):
        return nothing_there(key, config)
    return _by_kind(error, key, config)


def _odd_name(error: Exception, key: str, config: object) -> InvalidKey:
    lines = str(error).splitlines()
    return InvalidKey(
        key,
        config,
        f"There is an object whose name is no key: {lines[0] if lines else 'it has none'}.",
        "Rename it with the provider's own tools, or use a prefix that it is not below.",
    )


def _by_kind(error: Exception, key: str, config: object) -> StorageError:
    from obstore.exceptions import (
        NotSupportedError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )

    about = repr(key) if key else "the bucket"
    reason = reason_of(error)
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return PermissionDenied(key, config, f"{_REFUSED.format(about=about, reason=reason)}", _WHO)
    if isinstance(error, PreconditionError):
        message = f"{about} was replaced while it was read."
        return Unavailable(key, config, message, "Load it again.")
    if isinstance(error, (NotSupportedError, NotImplementedError)):
        message = f"This kind of object storage cannot do that with {about}."
        advice = "Use S3, Google Cloud or Azure storage; what is behind plain HTTP can be loaded."
        return UnsupportedOperation(key, config, message, advice)
    message = f"Object storage failed on {about}: {reason}."
    return Unavailable(key, config, message, _AGAIN)


_REFUSED = "The server refused access to {about}: {reason}."
_WHO = (
    "Check the credentials that the environment gives (AWS_ACCESS_KEY_ID, the machine's role, ...) "
    'and what they allow; for public data give the option skip_signature="true".'
)
_AGAIN = (
    "Check the network and the options endpoint, region and allow_http of the config, then try "
    "again."
)

_SENTENCES: tuple[tuple[str, Callable[[str, object, str, str], StorageError], str, str], ...] = (
    (
        r"NoSuchBucket|ContainerNotFound|specified bucket does not exist",
        NotFound,
        "The bucket of the config does not exist.",
        "Check the config's url; make the bucket with the provider's own tools.",
    ),
    (
        r"169\.254\.169\.254|[Cc]redential(s|Provider)? .*not|metadata\.google",
        PermissionDenied,
        "There are no credentials for {about}.",
        _WHO,
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired",
        PermissionDenied,
        _REFUSED,
        _WHO,
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint",
        Unavailable,
        "The bucket is in another region: {reason}.",
        "Name its region in the options of the config: options={{'region': ...}}.".format(),
    ),
    (
        r"http://[^\n]*builder error",
        Unavailable,
        "The server's address is http://, and its client is to speak https:// only.",
        'Give the option allow_http="true", or set AWS_ALLOW_HTTP=true in the environment.',
    ),
    (
        r"EntityTooLarge|status code: 413",
        TooLarge,
        "{about} is larger than the server takes: {reason}.",
        "Save it in parts, or to another store.",
    ),
    (
        r"QuotaExceeded|InsufficientStorage|StorageFull|status code: 507",
        NoSpace,
        "There is no room for {about}: {reason}.",
        "Free some space and save again; what was there before is untouched.",
    ),
)
"""By what the server's text says: the error's class, what is wrong, and what to do."""
