#!/usr/bin/env python3
"""Writes seeds/capture: small captures of every format and link type that is read.

What is in them: a connection with its response and end, a second one of the same ports, a reset, a
datagram and its answer, fragments, tags, extension headers; and the beginning of the fixture
`shop.pcap`. Wants `zstd` for the one compressed that way.
"""

import gzip
import pathlib
import struct
import subprocess

FOLDER = pathlib.Path(__file__).parent / "seeds" / "capture"
SHOP = pathlib.Path(__file__).parent.parent / "tests/fixtures/capture/shop.pcap"
CLIENT, SERVER = bytes([192, 0, 2, 9]), bytes([10, 0, 0, 1])
CLIENT6 = bytes.fromhex("20010db8000000000000000000000009")
SERVER6 = bytes.fromhex("20010db8000000000000000000000001")
FIN, SYN, RST, ACK = 1, 2, 4, 16


def tcp(ports, flags, sequence, payload=b""):
    return struct.pack(">HHIIBBHHH", *ports, sequence, 77, 0x50, flags, 0xFFFF, 0, 0) + payload


def udp(ports, payload):
    return struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload


def ipv4(ends, protocol, payload, fragment=0):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0)
    return head + b"".join(ends) + payload


def ipv6(ends, following, payload):
    return struct.pack(">IHBB", 0x60000000, len(payload), following, 64) + b"".join(ends) + payload


def exchange():
    """IPv4 packets with the times between them in seconds."""
    there, back = (CLIENT, SERVER), (SERVER, CLIENT)
    up, down = (40000, 80), (80, 40000)
    connection = [
        (there, up, SYN, 1, b""),
        (back, down, SYN | ACK, 5, b""),
        (there, up, ACK, 2, b""),
        (there, up, ACK, 2, b"GET"),
        (back, down, ACK, 6, b"200"),
        (back, down, FIN | ACK, 9, b""),
        (there, up, FIN | ACK, 5, b""),
        (there, up, SYN, 900, b""),
        (there, up, RST, 901, b""),
    ]
    for ends, ports, flags, sequence, payload in connection:
        yield 1, ipv4(ends, 6, tcp(ports, flags, sequence, payload))
    yield 70, ipv4(there, 17, udp((5000, 53), b"ask"))
    yield 1, ipv4(back, 17, udp((53, 5000), b"answer"))
    yield 400, ipv4(there, 17, udp((5000, 53), b"again"))
    yield 1, ipv4(there, 17, udp((5000, 53), b"part"), 0x2000)
    yield 1, ipv4(there, 17, b"remainder", 1)
    yield 1, ipv4(there, 1, bytes(8))


def exchange6():
    """IPv6 packets: plain, behind a hop-by-hop and a routing header, in fragments."""
    there, back = (CLIENT6, SERVER6), (SERVER6, CLIENT6)
    syn = tcp((40000, 80), SYN, 1)
    yield 1, ipv6(there, 6, syn)
    yield 1, ipv6(back, 6, tcp((80, 40000), SYN | ACK, 5))
    yield 1, ipv6(there, 0, bytes([43, 0, 1, 4, 0, 0, 0, 0]) + bytes([6, 0]) + bytes(6) + syn)
    yield 1, ipv6(there, 44, bytes([6, 0, 0, 1, 0, 0, 0, 9]) + syn)
    yield 1, ipv6(there, 44, bytes([6, 0, 0, 9, 0, 0, 0, 9]) + bytes(8))
    yield 1, ipv6(there, 51, bytes([17, 4]) + bytes(22) + udp((5000, 53), b"ask"))


def pcap(packets, link_type, order="<", fractions=1_000_000, wrap=bytes):
    magic = 0xA1B2C3D4 if fractions == 1_000_000 else 0xA1B23C4D
    file = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    now = 1_700_000_000
    for pause, packet in packets:
        now += pause
        frame = wrap(packet)
        file += struct.pack(order + "IIII", now, fractions // 2, len(frame), len(frame)) + frame
    return file


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(packets, order, resolution):
    file = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    for option in (b"", struct.pack(order + "HHB3x", 9, 1, resolution)):
        file += block(order, 1, struct.pack(order + "HHI", 101, 0, 0) + option)
    for number, (_, packet) in enumerate(packets):
        length = len(packet)
        if number == 1:
            file += block(order, 3, struct.pack(order + "I", length) + packet)
        elif number == 2:
            head = struct.pack(order + "HHIIII", 0, 0, 1, number, length, length)
            file += block(order, 2, head + packet)
        else:
            head = struct.pack(order + "IIIII", number % 2, 1, number, length, length)
            file += block(order, 6, head + packet)
    return file


def beginning(file, packets):
    """The first packets of a little-endian pcap."""
    end = 24
    for _ in range(packets):
        end += 16 + struct.unpack_from("<I", file, end + 8)[0]
    return file[:end]


def link_types():
    """Name, LINKTYPE_ number, and the header before an IPv4 packet."""
    ethernet = bytes([2] * 12)
    yield "null", 0, struct.pack("<I", 2)
    yield "ethernet", 1, ethernet + b"\x08\0"
    yield "vlan", 1, ethernet + bytes.fromhex("88a80001810000020800")
    yield "raw12", 12, b""
    yield "raw14", 14, b""
    yield "raw", 101, b""
    yield "loop", 108, struct.pack(">I", 2)
    yield "cooked", 113, bytes([0, 0, 0, 1, 0, 6]) + bytes(8) + b"\x08\0"
    yield "ipv4", 228, b""
    yield "cooked2", 276, b"\x08\0" + bytes(18)
    yield "ppp", 9, b"\xff\x03\0\x21"


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, number, header in link_types():
        files[f"{name}.pcap"] = pcap(exchange(), number, wrap=lambda packet, h=header: h + packet)
    files["ipv6.pcap"] = pcap(exchange6(), 229)
    files["big-endian.pcap"] = pcap(exchange(), 101, ">")
    files["nanoseconds.pcap"] = pcap(exchange(), 101, "<", 1_000_000_000)
    files["big-endian-nanoseconds.pcap"] = pcap(exchange6(), 101, ">", 1_000_000_000)
    first, second = section(exchange(), "<", 9), section(exchange6(), ">", 0x8A)
    files["sections.pcapng"] = first + second
    files["big-endian.pcapng"] = second
    files["ipv6.pcap.gz"] = gzip.compress(files["ipv6.pcap"], mtime=0)
    files["ipv6.pcap.zst"] = subprocess.run(
        ["zstd", "-q"], input=files["ipv6.pcap"], capture_output=True, check=True
    ).stdout
    files["cut.pcap"] = files["ethernet.pcap"][:-20]
    files["shop.pcap"] = beginning(SHOP.read_bytes(), 36)
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
