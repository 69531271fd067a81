"""Where leadflow may call: every kind of address that is none of the internet, in every disguise."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leadflow.outbound.addresses import (
    FORBIDDEN,
    AddressPolicy,
    ForbiddenAddress,
    UnknownHost,
    addresses_to_call,
    fault_of_url,
    resolve,
)
from leadflow.outbound.notifications import fault_of_channel, quieted, title_of

STRICT = AddressPolicy()
LOOSE = AddressPolicy((ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")), allows_http=True)

FORBIDDEN_ADDRESSES = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.8.8.8"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1"),
    *("168.63.129.16", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255", "100.100.100.200"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::"),
    *("3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    *("", "localhost", "1.2.3", "0x7f.1", "2130706433"),
]
PUBLIC_ADDRESSES = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"),
    *("169.253.255.255", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001::200e", "2400:cb00::1"),
]


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
def test_what_is_no_address_of_the_internet_is_never_called(address: str) -> None:
    assert STRICT.fault_of(address)


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_addresses_are_called(address: str) -> None:
    assert STRICT.fault_of(address) is None


ipv4 = st.ip_addresses(v=4)
ipv6 = st.ip_addresses(v=6)


@given(st.one_of(ipv4, ipv6, *(st.ip_addresses(network=str(network)) for network, _ in FORBIDDEN)))
def test_nothing_that_python_calls_private_or_reserved_passes(address: IPv4Address | IPv6Address) -> None:
    doubtful = (
        address.is_private,
        address.is_loopback,
        address.is_link_local,
        address.is_multicast,
        address.is_reserved,
        address.is_unspecified,
        not address.is_global,
    )
    if any(doubtful):
        assert STRICT.fault_of(str(address)), address


@given(ipv4)
@example(IPv4Address("8.8.8.8"))
def test_an_ipv4_address_inside_ipv6_never_passes(address: IPv4Address) -> None:
    number = int(address)
    disguises = (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(number),
        IPv6Address(0x0064FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80),
        IPv6Address(0x20010000 << 96 | number),
    )
    assert [str(one) for one in disguises if STRICT.fault_of(str(one)) is None] == []


@given(st.one_of(ipv4, ipv6, st.ip_addresses(network="10.1.0.0/16"), st.ip_addresses(network="fd00:1::/32")))
def test_a_setting_allows_its_networks_and_nothing_else(address: IPv4Address | IPv6Address) -> None:
    is_inside = any(address in network for network in LOOSE.allowed)

    assert (LOOSE.fault_of(str(address)) is None) == (is_inside or STRICT.fault_of(str(address)) is None)


@given(st.lists(st.sampled_from([*PUBLIC_ADDRESSES, "10.1.2.3", "127.0.0.1"]), min_size=1, max_size=6))
def test_one_forbidden_address_among_many_forbids_the_host(addresses: list[str]) -> None:
    faults = [one for one in addresses if LOOSE.fault_of(one)]
    if not faults:
        assert addresses_to_call("x.example", 443, LOOSE, lambda host, port: addresses) == addresses
        return
    with pytest.raises(ForbiddenAddress, match=faults[0]):
        addresses_to_call("x.example", 443, LOOSE, lambda host, port: addresses)


def test_numbers_that_only_look_like_names_are_tested_as_the_system_reads_them() -> None:
    for disguise in ("127.1", "2130706433", "0x7f000001", "017700000001"):
        with pytest.raises(ForbiddenAddress, match="loopback"):
            addresses_to_call(disguise, 443, STRICT, resolve)


def test_a_host_without_an_address_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(UnknownHost, match=r"nowhere\.example"):
        addresses_to_call("nowhere.example", 443, STRICT, resolve)


# URLs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://crm.example/hook", "https"),
        ("ftp://crm.example/", "https"),
        ("file:///etc/passwd", "https"),
        ("//crm.example/", "https"),
        ("https:///path", "no host"),
        ("https://user:secret@crm.example/", "user"),
        ("https://crm.example/#part", "fragment"),
        ("https://crm.example:22/", "port 22"),
        ("https://crm.example:5432/", "port 5432"),
        ("https://crm.example:99999/", "not a URL"),
        ("https://127.0.0.1/", "loopback"),
        ("https://[::1]/", "not a public"),
        ("https://[::ffff:10.0.0.1]/", "not a public"),
        ("https://169.254.169.254/latest/meta-data", "link local"),
        ("https://crm.example/\nHost: other", "printable"),
        ("https://crm.example\\@other.example/", "printable"),
        ("https://crm.example/" + "a" * 2_000, "2000"),
        ("https://[crm/", "not a URL"),
    ],
)
def test_a_url_that_cannot_or_must_not_be_called_is_refused(url: str, said: str) -> None:
    assert said in (fault_of_url(url, STRICT) or "")


@pytest.mark.parametrize("url", ["https://crm.example/hook?x=1", "https://crm.example:8443/", "https://1.1.1.1/"])
def test_a_url_of_the_internet_is_fine(url: str) -> None:
    assert fault_of_url(url, STRICT) is None


def test_plain_http_and_private_addresses_need_a_setting() -> None:
    assert fault_of_url("http://10.1.2.3:8080/hook", LOOSE) is None
    assert fault_of_url("http://10.2.2.3:8080/hook", LOOSE)


@given(st.text(max_size=60).map(lambda text: f"https://{text}"))
def test_no_text_makes_the_check_of_a_url_stumble(url: str) -> None:
    fault = fault_of_url(url, STRICT)

    assert fault is None or fault[0].islower() or fault[0].isdigit()


# Channels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "mailtos://user:pass@smtp.example?from=a@b.example&to=c@d.example",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23sales",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "ntfys://leads",
    ],
)
def test_usual_channels_are_taken(url: str) -> None:
    assert fault_of_channel(url, STRICT) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "must begin with"),
        ("json://crm.example/", "must begin with"),
        ("syslog://", "must begin with"),
        ("dbus://", "must begin with"),
        ("https://hooks.slack.com/services/a/b/c", "must begin with"),
        ("slack", "must begin with"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?template=/etc/passwd", "template"),
        ("mailtos://u:p@smtp.example?to=c@d.example&pgppub=/etc/passwd", "pgppub"),
        ("mailtos://u:p@smtp.example?to=c@d.example&verify=no", "verify"),
        ("mailtos://u:p@smtp.example?to=c@d.example&+X-Header=1", "X-Header"),
        ("ntfys://leads?attach=file:///etc/passwd", "attach"),
        ("ntfy://ntfy.example/leads", "HTTP"),
        ("slack://", "not complete"),
        ("slack://T1\nJJ3T3L2/A1BRTD4JD/x", "printable"),
    ],
)
def test_a_channel_that_reads_files_or_weakens_a_check_is_refused(url: str, said: str) -> None:
    assert said in (fault_of_channel(url, STRICT) or "")


@pytest.mark.parametrize("word", ["@everyone", "@HERE", "@channel", "<!channel>", "<@U024BE7LH>"])
def test_what_a_visitor_wrote_rings_nobodys_phone(word: str) -> None:
    quiet = quieted(f"Call {word} now, anna@nordwind.example")

    assert word not in quiet
    assert "anna@nordwind.example" in quiet
    assert quiet.replace("\u200b", "") == f"Call {word} now, anna@nordwind.example"


def test_the_subject_is_one_line() -> None:
    assert title_of({"company": {"name": "Nordwind\r\nBcc: x@y.example"}, "rule": "demo"}) == (
        "Nordwind Bcc: x@y.example · demo"
    )
    assert title_of({}) == "leadflow"


def test_addresses_of_the_test_are_what_they_seem() -> None:
    assert all(ip_address(one).is_global for one in PUBLIC_ADDRESSES)
