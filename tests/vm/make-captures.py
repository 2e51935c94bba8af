#!/usr/bin/env python3
"""make-captures.py DIR: writes churn4.pcap, churn6.pcap and marks.pcap, the same bytes each time.

Handshakes, data, half-open connections, retransmitted SYNs, FINs from either side and RSTs, of many
connections mixed with each other; raw IP, 1 ms apart. No client port is used twice in a capture: the
kernel takes a connection that gives way to a newer one off its counters a moment later, at no fixed
packet.

churn4  TCP to 10.0.0.1:80
churn6  TCP to [fd00::1]:80
marks   TCP and UDP to 10.0.0.1-10.0.0.10, ports 80, 443 and 53 (and 21 and 8080, which no mark covers)
"""
import ipaddress
import random
import struct
import sys

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP, UDP = 6, 17

# What a connection does after its SYN: (from the client?, flags, payload bytes).
HANDSHAKE = [(False, SYN | ACK, 0), (True, ACK, 0)]
REQUEST = [(True, PSH | ACK, 80), (False, ACK, 0), (False, PSH | ACK, 400), (True, ACK, 0)]
CLIENT_CLOSES = [(True, FIN | ACK, 0), (False, FIN | ACK, 0), (True, ACK, 0)]
SERVER_CLOSES = [(False, FIN | ACK, 0), (True, ACK, 0), (True, FIN | ACK, 0), (False, ACK, 0)]
LIVES = [  # weight, packets
    (5, HANDSHAKE + REQUEST + CLIENT_CLOSES),
    (5, HANDSHAKE + REQUEST + SERVER_CLOSES),
    (3, HANDSHAKE + REQUEST * 3 + CLIENT_CLOSES),
    (4, HANDSHAKE + REQUEST),  # stays open
    (2, HANDSHAKE + REQUEST + CLIENT_CLOSES[:2]),
    (2, HANDSHAKE + REQUEST + [(True, RST | ACK, 0)]),
    (1, HANDSHAKE + REQUEST + [(False, RST | ACK, 0)]),
    (2, HANDSHAKE + [(True, FIN | ACK, 0), (False, ACK, 0)]),  # leaves without a request, half closed
    (2, []),  # the SYN alone
    (2, [(True, SYN, 0), (True, SYN, 0)]),  # and again, unanswered
    (1, [(True, SYN, 0)] + HANDSHAKE + REQUEST),
    (2, HANDSHAKE[:1]),  # half open
    (1, HANDSHAKE[:1] + [(True, RST, 0)]),
    (1, [(False, RST | ACK, 0)]),  # refused by the server
]


class Capture:
    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        self.now = 0

    def add(self, protocol, source, destination, flags=0, payload=0, seq=0, ack=0):
        (src, sport), (dst, dport) = source, destination
        if protocol == TCP:
            l4 = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 0xFFFF, 0, 0)
        else:
            l4 = struct.pack("!HHHH", sport, dport, 8 + payload, 0)
        l4 += bytes(payload)
        pseudo = src.packed + dst.packed + struct.pack("!II", len(l4), protocol)
        at = 16 if protocol == TCP else 6
        l4 = l4[:at] + struct.pack("!H", checksum(pseudo + l4)) + l4[at + 2 :]
        if src.version == 4:
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(l4), 0, 0x4000, 64, protocol, 0) + src.packed + dst.packed
            ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        else:
            ip = struct.pack("!IHBB", 6 << 28, len(l4), protocol, 64) + src.packed + dst.packed
        packet = ip + l4
        seconds, milliseconds = divmod(self.now, 1000)
        self.file.write(struct.pack("<IIII", 1_700_000_000 + seconds, milliseconds * 1000, len(packet), len(packet)))
        self.file.write(packet)
        self.now += 1


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Connection:
    def __init__(self, random, client, server):
        self.client, self.server = client, server
        self.seq = [random.getrandbits(31), random.getrandbits(31)]  # server's, client's
        weights, lives = zip(*LIVES)
        self.rest = [(True, SYN, 0)] + random.choices(lives, weights)[0]
        self.syn_sent = [False, False]

    def step(self, capture):
        from_client, flags, payload = self.rest.pop(0)
        source, destination = (self.client, self.server) if from_client else (self.server, self.client)
        seq = self.seq[from_client]
        again = flags & SYN and self.syn_sent[from_client]
        capture.add(TCP, source, destination, flags, payload, seq - bool(again), self.seq[not from_client] if flags & ACK else 0)
        if not again:
            self.seq[from_client] += payload + bool(flags & (SYN | FIN))
        self.syn_sent[from_client] |= bool(flags & SYN)


class Datagrams:
    """A client that asks up to four times from one port; some answers are lost."""

    def __init__(self, random, client, server):
        self.client, self.server = client, server
        self.rest = [True]
        for _ in range(random.randrange(4)):
            self.rest += random.choice([[False, True], [True]])

    def step(self, capture):
        from_client = self.rest.pop(0)
        source, destination = (self.client, self.server) if from_client else (self.server, self.client)
        capture.add(UDP, source, destination, payload=40)


def clients(random, addresses):
    """Unevenly active clients; no port of an address twice."""
    weights = [1 / (i + 1) for i in range(len(addresses))]
    used = set()
    while True:
        client = (random.choices(addresses, weights)[0], random.randrange(1024, 65536))
        if client not in used:
            used.add(client)
            yield client


def mix(path, random, connections, at_once):
    """Steps a random one of the connections that are under way until all are done."""
    capture, waiting, live = Capture(path), list(connections), []
    while waiting or live:
        while waiting and len(live) < at_once:
            live.append(waiting.pop())
        one = random.choice(live)
        one.step(capture)
        if not one.rest:
            live.remove(one)
    capture.file.close()


def churn(path, seed, server, addresses):
    rng = random.Random(seed)
    client = clients(rng, addresses)
    mix(path, rng, [Connection(rng, next(client), server) for _ in range(550)], 60)


def marks(path, seed, servers, addresses):
    rng = random.Random(seed)
    client = clients(rng, addresses)
    kinds = [(Connection, 80), (Connection, 443), (Connection, 21), (Connection, 8080), (Datagrams, 53), (Datagrams, 443)]
    weights = [4, 4, 1, 2, 4, 1]
    connections = []
    for _ in range(650):
        kind, port = rng.choices(kinds, weights)[0]
        connections.append(kind(rng, next(client), (rng.choice(servers), port)))
    mix(path, rng, connections, 60)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make-captures.py DIR")
    directory = sys.argv[1]
    rng = random.Random("clients")
    v4 = [ipaddress.IPv4Address(0xC6120000 + rng.getrandbits(17)) for _ in range(90)]  # 198.18.0.0/15
    v6 = [ipaddress.IPv6Address((0x20010DB8 << 96) + rng.getrandbits(80)) for _ in range(90)]
    vips = [ipaddress.IPv4Address(f"10.0.0.{i}") for i in range(1, 11)]
    churn(f"{directory}/churn4.pcap", "churn4", (vips[0], 80), v4)
    churn(f"{directory}/churn6.pcap", "churn6", (ipaddress.IPv6Address("fd00::1"), 80), v6)
    marks(f"{directory}/marks.pcap", "marks", vips, v4)


if __name__ == "__main__":
    main()
