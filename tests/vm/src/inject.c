/* inject: puts the packets of one capture through the kernel's IPVS and tells where each went.
 *
 *   inject JOB CAPTURE COMMAND
 *
 * Runs in the guest, in a network namespace of its own.  Client packets are written to tun0;
 * IPVS forwards them through tap1, on which server I of the file `servers` has the permanent
 * neighbour 02:00:00:00:00:I, so that the frame tells the choice for every forwarding method.
 * Server packets are written to tap1 as coming from the server that the connection was given
 * (masquerading only: with direct routing and tunnels IPVS never sees them).
 *
 * write(2) on a tun device runs the packet's whole way through the kernel, so one packet is in
 * flight at a time.  Packets are built anew from addresses, ports and TCP flags, without payload
 * or options: IPVS reads no more, and a capture cut short by its snap length works as well.
 *
 * COMMAND (for the shell) runs once the devices are there and sets up addresses and IPVS; it leaves
 * `servers` and `vips`, one address a line, in the working directory.  Output: ../README.md.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { TCP = 6, UDP = 17, FIN = 1, SYN = 2, RST = 4, ACK = 16 };
enum { MAX_FRAME = 65536, MAX_ADDRESSES = 256, FLOWS = 1 << 18 };

/* An IPv4 address is held mapped (::ffff:a.b.c.d). */
struct address { unsigned char b[16]; };
struct packet { struct address src, dst; uint16_t sport, dport; uint8_t protocol, flags; uint32_t seq, ack; };
struct key { struct address client, vip; uint16_t cport, vport; uint8_t protocol, used; };
struct flow { struct key key; int server, masquerade; uint16_t port; };
struct list { struct address at[MAX_ADDRESSES]; int n; };

static const char *job;
static int tun, tap, udp_socket[65536];
static unsigned char tap_mac[6];
static struct list servers, vips;
static struct flow *flows;
static long n_client, n_server, n_lost, n_unbound, n_skipped;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "inject: job %s: %s: %s\n", job, what, why);
	exit(1);
}

static int is_v4(const struct address *a)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	return !memcmp(a->b, mapped, 12);
}
static struct address v4(const void *p)
{
	struct address a = { { [10] = 0xff, [11] = 0xff } };
	memcpy(a.b + 12, p, 4);
	return a;
}
static struct address v6(const void *p)
{
	struct address a;
	memcpy(a.b, p, 16);
	return a;
}
static int same(const struct address *a, const struct address *b) { return !memcmp(a, b, sizeof *a); }
static int find(const struct list *l, const struct address *a)
{
	for (int i = 0; i < l->n; i++)
		if (same(&l->at[i], a)) return i;
	return -1;
}
static const char *text(const struct address *a)
{
	static char s[INET6_ADDRSTRLEN];
	inet_ntop(is_v4(a) ? AF_INET : AF_INET6, is_v4(a) ? a->b + 12 : a->b, s, sizeof s);
	return s;
}
static void read_list(const char *path, struct list *l)
{
	FILE *f = fopen(path, "r");
	char s[64];
	unsigned char raw[16];
	if (!f) fail(path, strerror(errno));
	while (fscanf(f, "%63s", s) == 1) {
		if (l->n == MAX_ADDRESSES) fail(path, "too many addresses");
		if (inet_pton(AF_INET, s, raw) == 1) l->at[l->n++] = v4(raw);
		else if (inet_pton(AF_INET6, s, raw) == 1) l->at[l->n++] = v6(raw);
		else fail(path, s);
	}
	fclose(f);
}

static uint16_t be16(const unsigned char *p) { return p[0] << 8 | p[1]; }
static uint32_t be32(const unsigned char *p) { return (uint32_t)be16(p) << 16 | be16(p + 2); }
static void put16(unsigned char *p, uint16_t v) { p[0] = v >> 8; p[1] = v; }
static void put32(unsigned char *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }
static uint32_t sum(const unsigned char *p, size_t n, uint32_t s)
{
	for (size_t i = 0; i + 1 < n; i += 2) s += be16(p + i);
	return s;
}
static uint16_t fold(uint32_t s)
{
	while (s >> 16) s = (s & 0xffff) + (s >> 16);
	return ~s;
}

/* Reads an IP packet, looking through extension headers and an IP-in-IP tunnel; 0 unless TCP or UDP. */
static int parse(const unsigned char *ip, size_t n, struct packet *p)
{
	memset(p, 0, sizeof *p);
	size_t at;
	uint8_t next;
	if (n >= 20 && ip[0] >> 4 == 4) {
		if (be16(ip + 6) & 0x3fff) return 0; /* fragment */
		p->src = v4(ip + 12); p->dst = v4(ip + 16);
		next = ip[9]; at = (ip[0] & 15) * 4;
	} else if (n >= 40 && ip[0] >> 4 == 6) {
		p->src = v6(ip + 8); p->dst = v6(ip + 24);
		next = ip[6]; at = 40;
		while ((next == 0 || next == 43 || next == 60) && at + 2 <= n) {
			next = ip[at];
			at += (ip[at + 1] + 1) * 8;
		}
	} else return 0;
	if ((next == IPPROTO_IPIP || next == IPPROTO_IPV6) && at < n) return parse(ip + at, n - at, p);
	if ((next != TCP || at + 14 > n) && (next != UDP || at + 4 > n)) return 0;
	p->protocol = next; p->sport = be16(ip + at); p->dport = be16(ip + at + 2);
	if (next == TCP) { p->seq = be32(ip + at + 4); p->ack = be32(ip + at + 8); p->flags = ip[at + 13]; }
	return 1;
}

/* Builds an IP packet without payload; returns its length. */
static size_t build(unsigned char *b, const struct packet *p)
{
	static uint16_t id;
	size_t l4 = p->protocol == TCP ? 20 : 8, l3 = is_v4(&p->dst) ? 20 : 40;
	unsigned char *t = b + l3;
	memset(b, 0, l3 + l4);
	if (l3 == 20) {
		b[0] = 0x45; put16(b + 2, l3 + l4); put16(b + 4, ++id); b[6] = 0x40; b[8] = 64; b[9] = p->protocol;
		memcpy(b + 12, p->src.b + 12, 4); memcpy(b + 16, p->dst.b + 12, 4);
		put16(b + 10, fold(sum(b, 20, 0)));
	} else {
		b[0] = 0x60; put16(b + 4, l4); b[6] = p->protocol; b[7] = 64;
		memcpy(b + 8, p->src.b, 16); memcpy(b + 24, p->dst.b, 16);
	}
	put16(t, p->sport); put16(t + 2, p->dport);
	if (p->protocol == TCP) {
		put32(t + 4, p->seq); put32(t + 8, p->ack);
		t[12] = 5 << 4; t[13] = p->flags; put16(t + 14, 0xffff);
	} else put16(t + 4, l4);
	size_t addresses = l3 == 20 ? 12 : 8;
	put16(t + (p->protocol == TCP ? 16 : 6), fold(sum(b + addresses, l3 - addresses + l4, p->protocol + l4)));
	return l3 + l4;
}

static int open_device(const char *name, int flags)
{
	struct ifreq r = { 0 };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	if (fd < 0) fail("/dev/net/tun", strerror(errno));
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	r.ifr_flags = flags | IFF_NO_PI;
	if (ioctl(fd, TUNSETIFF, &r) < 0) fail(name, strerror(errno));
	return fd;
}

/* A datagram that IPVS leaves alone ends at this socket; without one the local stack would answer
 * with the same ICMP message as IPVS does when it has no destination. */
static void listen_udp(uint16_t port)
{
	if (udp_socket[port]) return;
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (void *)&a, sizeof a) < 0) fail("udp socket", strerror(errno));
	udp_socket[port] = fd;
}

/* Prints what came of client packet number `n`; true if it was forwarded, by way of `f`. */
static int forwarded(long n, const struct packet *sent, struct flow *f)
{
	unsigned char b[MAX_FRAME];
	struct packet p;
	ssize_t len;
	for (int tries = 0; tries < 2; tries++) {
		while ((len = read(tap, b, sizeof b)) > 0) {
			if (len < 14 || !parse(b + 14, len - 14, &p)) continue;
			if (!same(&p.src, &sent->src) || p.sport != sent->sport || p.protocol != sent->protocol) continue;
			f->server = be16(b + 4); f->port = p.dport;
			if (f->server >= servers.n) fail("frame to an unknown server", text(&p.dst));
			f->masquerade = same(&p.dst, &servers.at[f->server]);
			printf("{\"job\":\"%s\",\"packet\":%ld,\"dest\":\"%s\",\"port\":%u}\n", job, n, text(&servers.at[f->server]), f->port);
			return 1;
		}
		while ((len = read(tun, b, sizeof b)) > 0) {
			int four = b[0] >> 4 == 4, at = four ? (b[0] & 15) * 4 : 40, protocol = four ? b[9] : b[6];
			int error = four ? protocol == 1 : protocol == 58 && b[40] < 128;
			if (error && parse(b + at + 8, len - at - 8, &p) && same(&p.src, &sent->src) && p.sport == sent->sport) {
				if (b[at] == (four ? 3 : 1) && b[at + 1] == (four ? 3 : 4))
					printf("{\"job\":\"%s\",\"packet\":%ld,\"result\":\"no-destination\"}\n", job, n);
				else
					printf("{\"job\":\"%s\",\"packet\":%ld,\"result\":\"icmp %d %d\"}\n", job, n, b[at], b[at + 1]);
				return 0;
			}
			if (parse(b, len, &p) && same(&p.dst, &sent->src) && p.dport == sent->sport) {
				printf("{\"job\":\"%s\",\"packet\":%ld,\"result\":\"local\"}\n", job, n);
				return 0;
			}
		}
		if (sent->protocol == UDP && recv(udp_socket[sent->dport], b, sizeof b, 0) >= 0) {
			printf("{\"job\":\"%s\",\"packet\":%ld,\"result\":\"local\"}\n", job, n);
			return 0;
		}
		struct pollfd wait[] = { { tap, POLLIN, 0 }, { tun, POLLIN, 0 } };
		if (!tries) poll(wait, 2, 2);
	}
	printf("{\"job\":\"%s\",\"packet\":%ld,\"result\":\"drop\"}\n", job, n);
	return 0;
}

static void client_packet(long n, const struct packet *p, struct flow *f)
{
	unsigned char b[128];
	size_t len = build(b, p);
	n_client++;
	if (p->protocol == UDP) listen_udp(p->dport);
	if (write(tun, b, len) != (ssize_t)len) fail("write to tun0", strerror(errno));
	if (!forwarded(n, p, f)) f->server = -1;
}

static void server_packet(const struct packet *p, const struct flow *f)
{
	unsigned char b[MAX_FRAME];
	struct packet q = *p;
	n_server++;
	if (f->server < 0) { n_unbound++; return; }
	if (!f->masquerade) return;
	memcpy(b, tap_mac, 6); memcpy(b + 6, "\2\0\0\0", 4); put16(b + 10, f->server);
	put16(b + 12, is_v4(&p->dst) ? 0x0800 : 0x86dd);
	q.src = servers.at[f->server]; q.sport = f->port;
	size_t len = 14 + build(b + 14, &q);
	if (write(tap, b, len) != (ssize_t)len) fail("write to tap1", strerror(errno));
	for (int tries = 0; tries < 2; tries++) {
		ssize_t got;
		while ((got = read(tun, b, sizeof b)) > 0)
			if (parse(b, got, &q) && same(&q.src, &p->src) && q.sport == p->sport && same(&q.dst, &p->dst)) return;
		struct pollfd wait = { tun, POLLIN, 0 };
		if (!tries) poll(&wait, 1, 2);
	}
	n_lost++;
}

static struct flow *flow_of(const struct key *k)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < sizeof *k; i++) h = (h ^ ((const unsigned char *)k)[i]) * 16777619u;
	for (long i = 0; i < FLOWS; i++) {
		struct flow *f = &flows[(h + i) % FLOWS];
		if (!f->key.used) { f->key = *k; f->server = -1; }
		if (!memcmp(&f->key, k, sizeof *k)) return f;
	}
	fail("capture", "too many flows");
	return NULL;
}

/* Where the IP packet begins in a frame of this link type; the length if there is none. */
static size_t ip_offset(uint32_t link, const unsigned char *b, size_t n)
{
	size_t at = link == 101 ? 0 : link == 113 ? 16 : link == 276 ? 20 : 14;
	if (link == 1)
		while (at + 4 <= n && (be16(b + at - 2) == 0x8100 || be16(b + at - 2) == 0x88a8)) at += 4;
	return at < n ? at : n;
}

static void replay(const char *path)
{
	uint32_t header[6], record[4];
	static unsigned char b[1 << 18];
	FILE *f = fopen(path, "rb");
	if (!f) fail(path, strerror(errno));
	if (fread(header, 24, 1, f) != 1 || (header[0] != 0xa1b2c3d4 && header[0] != 0xa1b23c4d))
		fail(path, "not a pcap file of this byte order");
	if (header[5] != 1 && header[5] != 101 && header[5] != 113 && header[5] != 276)
		fail(path, "link type is none of Ethernet, raw IP, Linux cooked v1 and v2");
	size_t got;
	for (long n = 1; (got = fread(record, 1, 16, f)) == 16; n++) {
		if (record[2] > sizeof b || fread(b, 1, record[2], f) != record[2]) fail(path, "truncated");
		size_t at = ip_offset(header[5], b, record[2]);
		struct packet p;
		if (!parse(b + at, record[2] - at, &p)) { n_skipped++; continue; }
		int in = find(&vips, &p.dst) >= 0;
		if (!in && find(&vips, &p.src) < 0) { n_skipped++; continue; }
		struct key k;
		memset(&k, 0, sizeof k);
		k.client = in ? p.src : p.dst; k.cport = in ? p.sport : p.dport;
		k.vip = in ? p.dst : p.src; k.vport = in ? p.dport : p.sport;
		k.protocol = p.protocol; k.used = 1;
		if (in) client_packet(n, &p, flow_of(&k));
		else server_packet(&p, flow_of(&k));
	}
	if (got) fail(path, "truncated");
	fclose(f);
}

/* "0A000001:0050" or "[fd00::1]:0050" of /proc/net/ip_vs. */
static int endpoint(const char *s, struct address *a, unsigned *port)
{
	char v6text[64];
	unsigned v4hex;
	unsigned char raw[16];
	if (sscanf(s, "[%63[^]]]:%x", v6text, port) == 2 && inet_pton(AF_INET6, v6text, raw) == 1) { *a = v6(raw); return 1; }
	if (sscanf(s, "%8x:%x", &v4hex, port) != 2) return 0;
	put32(raw, v4hex);
	*a = v4(raw);
	return 1;
}

static void counters(void)
{
	FILE *f = fopen("/proc/net/ip_vs", "r");
	char line[512], kind[8], at[80];
	int weight, active, inactive, services = 0, rows = 0;
	unsigned port;
	struct address a;
	if (!f) fail("/proc/net/ip_vs", strerror(errno));
	printf("{\"job\":\"%s\",\"counters\":[", job);
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, " -> %79s %*s %d %d %d", at, &weight, &active, &inactive) == 4 && endpoint(at, &a, &port)) {
			printf("%s{\"dest\":\"%s\",\"port\":%u,\"weight\":%d,\"active\":%d,\"inactive\":%d}", rows++ ? "," : "",
			       text(&a), port, weight, active, inactive);
		} else if (sscanf(line, "%7s %79s", kind, at) == 2 && (!strcmp(kind, "TCP") || !strcmp(kind, "UDP") || !strcmp(kind, "FWM"))) {
			printf("%s{\"service\":\"", services++ ? "]}," : "");
			rows = 0;
			if (*kind == 'F') printf("mark:%lu", strtoul(at, NULL, 16));
			else if (endpoint(at, &a, &port)) printf(is_v4(&a) ? "%s:%s:%u" : "%s:[%s]:%u", *kind == 'T' ? "tcp" : "udp", text(&a), port);
			printf("\",\"servers\":[");
		}
	}
	printf("%s]}\n", services ? "]}" : "");
	fclose(f);
}

static int tracked(void)
{
	FILE *f = fopen("/proc/net/ip_vs_conn", "r");
	char line[512];
	int n = -1;
	if (!f) fail("/proc/net/ip_vs_conn", strerror(errno));
	while (fgets(line, sizeof line, f)) n++;
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	static char out[1 << 16];
	struct timespec t0, t1;
	struct ifreq r = { .ifr_name = "tap1" };
	job = argc == 4 ? argv[1] : "?";
	if (argc != 4) fail("usage", "inject JOB CAPTURE COMMAND");
	setvbuf(stdout, out, _IOFBF, sizeof out);
	tun = open_device("tun0", IFF_TUN);
	tap = open_device("tap1", IFF_TAP);
	if (ioctl(tap, SIOCGIFHWADDR, &r) < 0) fail("tap1", strerror(errno));
	memcpy(tap_mac, r.ifr_hwaddr.sa_data, 6);
	if (system(argv[3])) fail(argv[3], "failed");
	read_list("servers", &servers);
	read_list("vips", &vips);
	if (tracked()) fail("/proc/net/ip_vs_conn", "connections of an earlier job");
	if (!(flows = calloc(FLOWS, sizeof *flows))) fail("memory", strerror(errno));
	clock_gettime(CLOCK_MONOTONIC, &t0);
	replay(argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	counters();
	printf("{\"job\":\"%s\",\"client_packets\":%ld,\"server_packets\":%ld,\"unbound\":%ld,\"lost\":%ld,\"skipped\":%ld,\"connections\":%d,\"ms\":%ld}\n",
	       job, n_client, n_server, n_unbound, n_lost, n_skipped, tracked(),
	       (t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000);
	return fflush(stdout) ? 1 : 0;
}
