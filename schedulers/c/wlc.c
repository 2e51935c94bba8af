/* wlc: weighted least-connection, in C and without a library.
 *
 * Decision: smallest overhead / weight; overhead as the kernel profile counts it.
 * Ties: the newest real server. Never a quiesced or overloaded one.
 * Reference: Linux ip_vs_wlc. Deviations: none.
 *
 * Memory: the list of servers lies at the start of the heap, and what the host hands over in a
 * call behind it, until that call is done.
 */
#include "policy.h"

static uint32_t per_active;
static struct server *servers;
static size_t server_count;

/* Memory. */

extern uint8_t __heap_base;
static uintptr_t heap_next;

static uintptr_t after_servers(void) {
    return (uintptr_t)(servers + server_count);
}

void *cabi_realloc(void *former, size_t former_bytes, size_t alignment, size_t bytes) {
    enum { PAGE = 65536 };
    (void)former, (void)former_bytes; /* lists and strings come in one piece */
    if (heap_next == 0)
        heap_next = (uintptr_t)&__heap_base;
    uintptr_t start = (heap_next + alignment - 1) & -alignment;
    uintptr_t present = __builtin_wasm_memory_size(0) * (uintptr_t)PAGE;
    if (bytes > UINTPTR_MAX - PAGE - start)
        __builtin_trap();
    if (start + bytes > present) {
        uintptr_t pages = (start + bytes - present + PAGE - 1) / PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX)
            __builtin_trap();
    }
    heap_next = start + bytes;
    return (void *)start;
}

/* Parameters. */

static bool equals(struct text text, const char *word) {
    size_t i = 0;
    while (i < text.length && word[i] != 0 && text.bytes[i] == word[i])
        i++;
    return i == text.length && word[i] == 0;
}

static const struct configured *refuse(const char *message) {
    static struct configured refused = {.is_error = true};
    size_t length = 0;
    while (message[length] != 0)
        length++;
    refused.error = (struct text){message, length};
    return &refused;
}

const struct configured *configure(
    uint64_t now_us,
    uint32_t family, uint64_t address_high, uint64_t address_low, uint32_t port, uint32_t protocol,
    uint32_t mark,
    const struct parameter *parameters, size_t parameters_length,
    uint64_t seed)
{
    static const struct configured accepted = {.is_error = false, .needs = NEEDS_LOADS};
    (void)now_us, (void)family, (void)address_high, (void)address_low, (void)port, (void)protocol;
    (void)mark, (void)seed;
    per_active = 257;
    for (size_t i = 0; i < parameters_length; i++) {
        if (!equals(parameters[i].key, "kernel"))
            return refuse("wlc: unknown parameter; it takes kernel");
        if (i > 0)
            return refuse("wlc: parameter `kernel` is given twice");
        if (equals(parameters[i].value, "classic"))
            per_active = 256;
        else if (!equals(parameters[i].value, "current"))
            return refuse("wlc: parameter `kernel` is current or classic");
    }
    servers = (struct server *)(((uintptr_t)&__heap_base + 7) & -(uintptr_t)8);
    heap_next = after_servers();
    return &accepted;
}

/* Servers and decisions. */

void set_servers(const struct server *list, size_t length) {
    /* The list was put behind the former one, which it now replaces. */
    for (size_t i = 0; i < length; i++)
        servers[i] = list[i];
    server_count = length;
    heap_next = after_servers();
}

static void update(const struct load *load) {
    for (size_t i = 0; i < server_count; i++) {
        if (servers[i].id == load->server) {
            servers[i].active = load->active;
            servers[i].inactive = load->inactive;
            servers[i].status = load->status;
            return;
        }
    }
}

static bool is_usable(const struct server *server) {
    return server->weight > 0 && (server->status & OVERLOADED) == 0;
}

/* 32 bits, as the kernel's. */
static int64_t overhead(const struct server *server) {
    return (int32_t)(server->active * per_active + server->inactive);
}

static bool beats(const struct server *one, const struct server *best) {
    return overhead(best) * one->weight > overhead(one) * best->weight;
}

const struct decision *schedule(
    uint64_t now_us,
    uint64_t client_high, uint64_t client_low, uint32_t client_port,
    uint64_t destination_high, uint64_t destination_low, uint32_t destination_port,
    uint32_t protocol, uint32_t mark,
    uint32_t is_changed, const struct load *changed, size_t changed_length)
{
    static struct decision decision;
    (void)now_us, (void)client_high, (void)client_low, (void)client_port, (void)destination_high;
    (void)destination_low, (void)destination_port, (void)protocol, (void)mark;
    if (is_changed)
        for (size_t i = 0; i < changed_length; i++)
            update(&changed[i]);
    heap_next = after_servers();

    const struct server *best = NULL;
    for (const struct server *one = servers; one < servers + server_count; one++)
        if (is_usable(one) && (best == NULL || beats(one, best)))
            best = one;
    decision.is_some = best != NULL;
    if (best != NULL)
        decision.server = best->id;
    return &decision;
}
