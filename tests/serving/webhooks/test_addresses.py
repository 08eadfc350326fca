"""An administrator's URL is no way into the network behind the service."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.webhooks import addresses
from serving.webhooks.addresses import Address, AddressRefused, check_url, permitted, read_networks
from serving.webhooks.sending import Sender, retry_after

from .conftest import LOOPBACK, Receiver

NONE = read_networks("")


@pytest.mark.parametrize(
    "url",
    [
        "https://8.8.8.8/hook", "https://8.8.8.8:8443/hook?tenant=1", "https://[2606:4700::1111]/", "http://127.0.0.1:9000/hook",
        "http://[::1]:9000/", "https://127.0.0.1/",
    ],
)  # fmt: skip
def test_what_may_be(url: str) -> None:
    assert check_url(url, LOOPBACK) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/hook", "https://10.0.0.7/", "https://192.168.1.1/", "https://172.16.0.1/", "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/", "https://0.0.0.0/", "https://[fe80::1]/", "https://[fd00::1]/", "https://[::ffff:10.0.0.7]/", "https://[64:ff9b::a00:7]/",
        "https://[2002:a00:7::]/", "https://224.0.0.1/", "ftp://8.8.8.8/", "https://", "https://user:secret@8.8.8.8/", "https://8.8.8.8:0/",
        "https://8.8.8.8:99999/", "https://8.8.8.8/#part", "https://8.8.8.8/a b", "https://8.8.8.8/\n", "https://8.8.8.8/ü", "file:///etc/passwd",
        "https://8.8.8.8/" + "x" * 3_000, "http://intranet.example/hook",
    ],
)  # fmt: skip
def test_what_may_not_be(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, LOOPBACK, lookup=False)


def test_a_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_looked_up", lambda _host: [ip_address("8.8.8.8"), ip_address("10.0.0.7")])
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.7.*ORDINANCE_WEBHOOK_NETWORKS"):
        check_url("https://oms.example.com/hook", LOOPBACK)
    assert check_url("https://oms.example.com/hook", read_networks("10.0.0.0/8"))


def test_loopback_can_be_closed_as_well() -> None:
    with pytest.raises(AddressRefused):
        check_url("http://127.0.0.1:9000/", NONE)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_nothing_private_is_permitted_by_itself(address: Address) -> None:
    mapped = address if address.version == 6 else IPv6Address(f"::ffff:{address}")
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        assert not permitted(address, NONE)
    if isinstance(address, IPv4Address):
        assert permitted(mapped, NONE) == permitted(address, NONE), "written otherwise it is the same address"


def test_the_connection_goes_where_was_checked(receiver: Receiver) -> None:
    asked: list[str] = []

    async def lookup(host: str, _port: int) -> list[Address]:
        asked.append(host)
        return [ip_address("127.0.0.1")] if len(asked) == 1 else [ip_address("127.0.0.1"), ip_address("10.0.0.7")]

    async def go() -> None:
        async with Sender(LOOPBACK, 2.0, lookup) as sender:
            url = f"http://hooks.example:{receiver.port}/hook"
            assert (await sender.send(url, b"{}", {})).taken
            second = await sender.send(url, b"{}", {})
            assert second.status is None
            assert "10.0.0.7" in second.error

    asyncio.run(go())
    assert asked == ["hooks.example"] * 2, "looked up at every attempt"
    ((headers, _),) = receiver.got
    assert headers["host"] == f"hooks.example:{receiver.port}", "the name that was asked for"


def test_plain_http_leaves_loopback_at_no_attempt() -> None:
    async def lookup(_host: str, _port: int) -> list[Address]:
        return [ip_address("8.8.8.8")]

    async def go() -> None:
        async with Sender(LOOPBACK, 2.0, lookup) as sender:
            assert "https" in (await sender.send("http://hooks.example/", b"{}", {})).error

    asyncio.run(go())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 0), ("120", 120), ("-1", 0), ("soon", 0), ("Wed, 21 Oct 2015 07:28:10 GMT", 10), ("Wed, 21 Oct 2015 07:00:00 GMT", 0)],
)
def test_retry_after_is_read(text: str | None, seconds: float) -> None:
    assert retry_after(text, 1_445_412_480.0) == seconds
