#!/usr/bin/env python3
"""Writes seeds/track and seeds/table: packets of eight bytes each, as src/lib.rs reads them.

With a path to `equipoise` it extracts small captures of seeds/capture into seeds/table, too.
"""

import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent / "seeds"
FIN, SYN, RST, ACK = 1, 2, 4, 16
TO_SERVER, TO_CLIENT, UDP = 0, 0x40, 0x80
OTHER_SERVER = 0x08
# Places in the table of pauses.
SOON, MILLISECOND, COPIED, SECOND, FIVE_SECONDS, LONG = 2, 5, 3, 8, 9, 14


def packet(ends, flags, sequence=0, acknowledgement=0, pause=MILLISECOND, payload=0, number=0, act=0):
    return bytes([ends, flags, sequence, acknowledgement, pause, payload, number, act])


def connection(ends=0, first=7, act=0):
    up, down = ends | TO_SERVER, ends | TO_CLIENT
    yield packet(up, SYN, first, act=act)
    yield packet(down, SYN | ACK, 90, first + 1)
    yield packet(up, ACK, first + 1, 91)
    yield packet(up, ACK, first + 1, 91, payload=1)
    yield packet(down, ACK, 91, first + 2, payload=2)
    for place in range(4):
        yield packet(down, ACK, 95 + place, first + 2, SECOND, 2, number=place)
        yield packet(up, ACK, first + 2, 95 + place, SOON)
    yield packet(down, FIN | ACK, 120, first + 2)
    yield packet(up, FIN | ACK, first + 2, 121)


def scripts():
    """Name and packets."""
    one = list(connection())
    yield "connection", one
    yield "again", [*one, *connection(first=50), packet(0, RST, 51)]
    copies = [[one_packet, packet(*one_packet[:4], COPIED, *one_packet[5:])] for one_packet in one]
    yield "copies", [part for pair in copies for part in pair]
    yield "second-leg", [*one[:1], packet(OTHER_SERVER, SYN, 7, pause=SOON), *one[1:]]
    yield "mid-stream", one[4:9]
    yield "half-open", [packet(client, SYN, client, pause=SOON) for client in range(8)]
    yield "datagrams", [
        packet(UDP | way, 0, pause=pause, payload=1, number=number)
        for number, (way, pause) in enumerate(
            [(TO_SERVER, SOON), (TO_CLIENT, SOON), (TO_SERVER, FIVE_SECONDS), (TO_SERVER, LONG)]
        )
    ]
    # Bits of what directors do: a new batch, an entry made, an entry gone, a look at everything.
    for made, gone in [(0, 4), (3, 4)]:
        acts = [packet(1, SYN, 1, act=made)]
        acts += [packet(2, SYN, 3, pause=LONG, act=1 + 16) for _ in range(3)]
        acts += [packet(3, SYN, 4, act=gone + 1), packet(1, SYN, 1, pause=LONG, act=17)]
        yield f"entries-{made}", acts


def main():
    for target, heads in {
        # Retention, limit of holding back, start and services.
        "track": {"": b"\x00", "short": b"\x05", "end": b"\x18", "service": b"\x24"},
        # Segments, and where which bits are damaged.
        "table": {"": bytes(7), "page": b"\x08\x40\0\x01\x20\0\x80", "cut": b"\x06\xc0\0\0\xc0\0\0"},
    }.items():
        folder = FOLDER / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, packets in scripts():
            (folder / name).write_bytes(heads[""] + b"".join(packets))
        for kind in filter(None, heads):
            (folder / f"connection-{kind}").write_bytes(heads[kind] + b"".join(connection()))
    many = b"\x07\x80\0\0\x80\0\0" + b"".join(connection())
    (FOLDER / "table" / "segments").write_bytes(many)
    for equipoise in map(pathlib.Path, sys.argv[1:]):
        for name in ["ethernet.pcap", "sections.pcapng", "cut.pcap"]:
            # The name of a capture stands in its table.
            command = [equipoise.absolute(), "extract", name, "-o", f"../table/{name}.parquet"]
            subprocess.run(command, cwd=FOLDER / "capture", check=True)


if __name__ == "__main__":
    main()
