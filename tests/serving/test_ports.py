from __future__ import annotations

import os
import socket

import pytest

from trident.errors import SetupError
from trident.serving.ports import Ports, is_free, owner


def test_zero_picks_three_different_free_ports_and_a_named_one_stays() -> None:
    named = Ports(0, 0, 0).settle().grpc
    settled = Ports(0, named, 0).settle()
    assert settled.grpc == named
    assert len({settled.http, settled.grpc, settled.metrics}) == 3
    assert all(map(is_free, vars(settled).values()))


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_names_its_holder_and_the_flag(address: str) -> None:
    with socket.create_server((address, 0)) as holder:
        port = holder.getsockname()[1]
        assert not is_free(port)
        assert f"(pid {os.getpid()})" in owner(port)
        with pytest.raises(SetupError, match=rf"port {port} \(metrics\) is taken by .*--metrics-port"):
            Ports(0, 0, port).settle()


@pytest.mark.parametrize("ports", [(8000, 8000, 8002), (-1, 0, 0), (0, 70000, 0)])
def test_ports_that_cannot_be_are_refused(ports: tuple[int, int, int]) -> None:
    with pytest.raises(SetupError, match="three different numbers from 1 to 65535"):
        Ports(*ports)
