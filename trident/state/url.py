"""Addresses of Redis as text: what may be printed of them, and the servers that a cluster's address lists."""

from __future__ import annotations

import re

CLUSTER = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""Schemes of a cluster → the scheme for each of its servers."""

EXPECTED = "redis://, rediss:// (TLS), unix://, redis+cluster:// or rediss+cluster://"


def without_password(url: str) -> str:
    """The URL without its user and password, for messages."""
    scheme, mark, rest = url.partition("://")
    shown = rest.rpartition("@")[2]  # the last one: a password may hold what should have been escaped
    return f"{scheme}{mark}" + re.sub(r"((?:username|password)=)[^&]*", r"\1***", shown)


def server_urls(url: str) -> list[str]:
    """One URL per server: "redis+cluster://user:password@a:6379,b:6379" lists several, with the same user and rest."""
    scheme, mark, rest = url.partition("://")
    if scheme not in CLUSTER:
        return [url]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, hosts = authority.rpartition("@")
    return [f"{CLUSTER[scheme]}{mark}{user}{at}{host}{rest[len(authority) :]}" for host in hosts.split(",")]


def is_cluster(url: str) -> bool:
    """Whether this is the address of a Redis Cluster."""
    return url.partition("://")[0] in CLUSTER
