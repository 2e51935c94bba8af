#!/usr/bin/env python3
"""Writes seeds/decode: a frame of every link type and of every tunnel that is read.

A file is what the target takes: the place of the link type in the target's list, how much longer
the frame was on its link, the frame.
"""

import pathlib
import re
import struct

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "seeds" / "decode"
TARGET = (HERE / "fuzz_targets" / "decode.rs").read_text()
LINK_TYPES = [
    int(number)
    for number in re.findall(r"\d+", TARGET.split("LINK_TYPES: [u16; ")[1].split("= [")[1].split("]")[0])
]
ETHERNET, RAW = 1, 101


def tcp(payload=b"GET"):
    return struct.pack(">HHIIBBHHH", 40000, 80, 1, 77, 0x50, 24, 0xFFFF, 0, 0) + payload


def udp(port, payload=b"?"):
    return struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload


def ipv4(protocol, payload, fragment=0):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0)
    return head + bytes([192, 0, 2, 9, 10, 0, 0, 1]) + payload


def ipv6(following, payload):
    ends = bytes.fromhex("20010db8000000000000000000000009" "20010db8000000000000000000000001")
    return struct.pack(">IHBB", 0x60000000, len(payload), following, 64) + ends + payload


def ethernet(kind, payload):
    return bytes([2] * 12) + struct.pack(">H", kind) + payload


def nflog(order, packet):
    frame = bytes([2, 0, 0, 5])
    for kind, content in ((1, bytes([8, 0, 1, 0])), (10, b"in\0"), (9, packet)):
        frame += struct.pack(order + "HH", 4 + len(content), kind) + content
        frame += bytes(-len(content) % 4)
    return frame


def frames():
    """Name, LINKTYPE_ number, frame."""
    four, six = ipv4(6, tcp()), ipv6(6, tcp())
    inner = ethernet(0x0800, four)
    pppoe = bytes([0x11, 0, 0, 7, 0, 66, 0, 0x21]) + four
    yield "ethernet", ETHERNET, inner
    yield "ethernet6", ETHERNET, ethernet(0x86DD, ipv6(17, udp(53)))
    yield "vlan", ETHERNET, ethernet(0x8100, b"\0\7\x08\0" + four)
    yield "vlans", ETHERNET, ethernet(0x88A8, b"\0\7\x81\0\0\7\x08\0" + four)
    yield "mpls", ETHERNET, ethernet(0x8847, bytes([0, 1, 0, 64, 0, 2, 1, 64]) + four)
    yield "pppoe", ETHERNET, ethernet(0x8864, pppoe)
    yield "pppoe-session", 51, pppoe
    yield "ppp", 9, b"\xff\3\0\x21" + four
    yield "ppp-compressed", 50, b"\x57" + six
    yield "cisco", 50, b"\x0f\0\x08\0" + four
    yield "cisco-alone", 104, b"\x8f\0\x86\xdd" + six
    yield "null", 0, struct.pack("<I", 30) + six
    yield "loop", 108, struct.pack(">I", 2) + four
    yield "cooked", 113, bytes([0, 0, 0, 1, 0, 6]) + bytes(8) + b"\x08\0" + four
    yield "cooked2", 276, b"\x86\xdd" + bytes(18) + six
    yield "nflog", 239, nflog("<", four)
    yield "nflog-big", 239, nflog(">", four)
    yield "raw12", 12, four
    yield "raw14", 14, six
    yield "ipv4", 228, four
    yield "ipv6", 229, six
    yield "fragment", RAW, ipv4(17, udp(53), 0x2000)
    yield "fragment-later", RAW, ipv4(17, udp(53), 1)
    extensions = bytes([60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 51, 0, 0, 1, 0, 0, 0, 9])
    yield "extensions", RAW, ipv6(0, extensions + bytes([6, 1]) + bytes(10) + tcp())
    yield "ipip", RAW, ipv4(4, four)
    yield "ipip-deep", RAW, ipv4(4, ipv4(4, ipv4(41, ipv6(4, ipv4(4, four)))))
    yield "gre", RAW, ipv4(47, b"\xb0\0\x08\0" + bytes(12) + four)
    yield "gre-ethernet", RAW, ipv6(47, b"\0\0\x65\x58" + inner)
    yield "gue", RAW, ipv4(17, udp(6080, bytes([2, 4, 0, 1]) + bytes(8) + four))
    yield "gue-direct", RAW, ipv4(17, udp(6080, six))
    yield "vxlan", RAW, ipv4(17, udp(4789, b"\x08" + bytes(7) + inner))
    yield "geneve", RAW, ipv4(17, udp(6081, b"\1\0\x65\x58" + bytes(8) + inner))


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, link_type, frame in frames():
        (FOLDER / name).write_bytes(bytes([LINK_TYPES.index(link_type), 0]) + frame)


if __name__ == "__main__":
    main()
