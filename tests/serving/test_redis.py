from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import redis

from trident.errors import SetupError, Unavailable
from trident.serving.redis import EmbeddedRedis, answers, require_answer, without_password


def test_starts_keeps_and_forgets() -> None:
    for _ in range(2):
        with EmbeddedRedis() as server:
            client = redis.Redis.from_url(server.url)
            assert client.get("key") is None
            client.set("key", b"\x00\xff")
            assert client.get("key") == b"\x00\xff"
            assert answers(server.socket)
        assert not server.folder.exists()
        assert server.child.death


def test_only_this_user_can_reach_it_and_there_is_no_tcp() -> None:
    with EmbeddedRedis() as server:
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        listening = subprocess.run(["ss", "-Htlnp"], capture_output=True, text=True).stdout
        assert f"pid={server.child.pid}," not in listening
        assert redis.Redis.from_url(server.url).config_get("save") == {"save": ""}


def test_a_long_temporary_folder_does_not_break_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("d" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EmbeddedRedis() as server:
        assert answers(server.socket)
    assert list(long.iterdir()) == []


def test_a_redis_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedRedis()
    command = EmbeddedRedis._command
    monkeypatch.setattr(EmbeddedRedis, "_command", lambda self: [*command(self), "--maxmemory", "nonsense"])
    with pytest.raises(Unavailable, match=r"redis-server exited with code 1.*maxmemory"), server:
        pass
    assert not server.folder.exists()


def test_an_answering_url_passes_and_others_name_url_and_flag() -> None:
    with EmbeddedRedis() as server:
        require_answer(server.url)
    for url in ("redis://user:secret@127.0.0.1:1/0", "no-url", server.url):
        with pytest.raises(SetupError, match="--redis-url") as caught:
            require_answer(url, patience=0.5)
        assert "secret" not in str(caught.value)


def test_passwords_are_left_out() -> None:
    assert without_password("rediss://u:p@ss@host:6379/0") == "rediss://host:6379/0"
    assert without_password("unix:///tmp/r.sock") == "unix:///tmp/r.sock"
