/* The contract of wit/0.1.0/policy.wit in C, without bindings: the records as they lie in memory,
 * and the functions that a policy exports, in the flat form that WebAssembly sees.
 *
 * The linker checks the functions against the WIT when it makes the component.
 */
#ifndef EQUIPOISE_POLICY_H
#define EQUIPOISE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

struct address {
    uint64_t high, low;
};

struct text {
    const char *bytes;
    size_t length;
};

struct parameter {
    struct text key, value;
};

struct server {
    uint32_t id;
    struct address address;
    uint16_t port;
    uint32_t weight, active, inactive, status;
};

struct load {
    uint32_t server, active, inactive, status, latency_us;
};

enum { OVERLOADED = 1 }; /* bit of status */

enum { NEEDS_LOADS = 1, NEEDS_LATENCY = 2, NEEDS_TIME = 4, NEEDS_CLIENT = 8, NEEDS_DESTINATION = 16 };

/* result<needs, string> */
struct configured {
    bool is_error;
    union {
        uint8_t needs;
        struct text error;
    };
};

/* option<server-id> */
struct decision {
    bool is_some;
    uint32_t server;
};

EXPORT("equipoise:policy/lifecycle@0.1.0#configure")
const struct configured *configure(
    uint64_t now_us,
    uint32_t family, uint64_t address_high, uint64_t address_low, uint32_t port, uint32_t protocol,
    uint32_t mark,
    const struct parameter *parameters, size_t parameters_length,
    uint64_t seed);

EXPORT("equipoise:policy/lifecycle@0.1.0#set-servers")
void set_servers(const struct server *list, size_t length);

EXPORT("equipoise:policy/scheduler@0.1.0#schedule")
const struct decision *schedule(
    uint64_t now_us,
    uint64_t client_high, uint64_t client_low, uint32_t client_port,
    uint64_t destination_high, uint64_t destination_low, uint32_t destination_port,
    uint32_t protocol, uint32_t mark,
    uint32_t is_changed, const struct load *changed, size_t changed_length);

/* The host asks here for the room that lists and strings need, before the call that gets them. */
EXPORT("cabi_realloc")
void *cabi_realloc(void *former, size_t former_bytes, size_t alignment, size_t bytes);

#endif
