/* Asks a UDP name server at a fixed rate, or as fast as it answers, and says how long each answer took.
 *
 * At a fixed rate no query waits for an answer to an earlier one, so a server that stalls is asked on and
 * every query of the stall is counted with its whole wait.  A wait ends with the kernel's own time stamp of
 * the answer's arrival, not when this program came round to reading it.  Without a rate, OUTSTANDING
 * queries are kept open: what that completes per second is the server's most, if this program is not the
 * slower of the two, which `cpu_s` tells.
 *
 * usage: udp_load [-r QUERIES_PER_S] [-l SECONDS] [-c SOCKETS] [-q OUTSTANDING] [-t TIMEOUT_MS] [-e] [-D]
 *                 HOST PORT FILE
 * FILE has dnsperf's lines, "NAME TYPE", asked in turn again and again; TYPE is A or AAAA.  -e adds EDNS, -D
 * the DO bit.  SIGINT ends it early.  Writes one line of JSON; waits in nanoseconds, [up to, how many]; of
 * each twentieth of a second the slowest query over 2 ms, [when it was sent in seconds since 1970, its wait].
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SOCKETS_MAX 64
#define IDS 65536
#define QUERY_OCTETS_MAX 512
#define NS_PER_S 1000000000ull
/* Waits are counted in buckets: exact below 64 ns, then 32 to each power of two, so within 3.2 %. */
#define SUB_BITS 5
#define BUCKETS ((64 - SUB_BITS) << SUB_BITS)

struct client {
    int descriptor;
    uint16_t next_id, oldest_id;
    uint32_t outstanding;
    uint64_t *sent_ns; /* by ID; 0: not outstanding */
};

static struct client clients[SOCKETS_MAX];
static int client_count = 4, outstanding_max = 300, with_edns, with_do;
static double rate, duration_s = 5;
static uint64_t timeout_ns = 5 * NS_PER_S;

static unsigned char *queries; /* all of FILE, encoded, one after the other */
static uint32_t *query_starts;
static size_t query_count, next_query;

/* One for each MOMENT_NS of the load, by when queries were sent. */
#define MOMENT_NS (NS_PER_S / 20)
#define MOMENTS_MAX 65536
#define SLOW_NS (NS_PER_S / 500)
static struct {
    uint64_t sent_ns, wait_ns;
} slowest[MOMENTS_MAX];
static uint64_t began_ns;

static uint64_t buckets[BUCKETS], rcodes[16], sent, completed, lost, worst_ns, late_ns;
static volatile sig_atomic_t stopping;

static struct mmsghdr messages[BATCH];
static struct iovec parts[BATCH];
static unsigned char octets[BATCH][4096];
static char controls[BATCH][64];

static void stop(int number) {
    (void)number;
    stopping = 1;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Real time, because that is what the kernel's time stamps are in. */
static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static size_t bucket_of(uint64_t wait_ns) {
    if (wait_ns < 2u << SUB_BITS) return wait_ns;
    int shift = 63 - __builtin_clzll(wait_ns) - SUB_BITS;
    return ((size_t)shift << SUB_BITS) + (wait_ns >> shift);
}

static uint64_t bucket_end_ns(size_t bucket) {
    if (bucket < 2u << SUB_BITS) return bucket;
    int shift = (int)(bucket >> SUB_BITS) - 1;
    return (((uint64_t)(bucket & ((1u << SUB_BITS) - 1)) + (1u << SUB_BITS) + 1) << shift) - 1;
}

/* Encodes "NAME TYPE" at `into`; octets written, 0 where the line is not one. */
static size_t encode(char *line, unsigned char *into) {
    char *name = strtok(line, " \t\r\n"), *type = strtok(NULL, " \t\r\n");
    if (!name || !type || strlen(name) > 253) return 0;
    memcpy(into, "\0\0\1\0\0\1\0\0\0\0\0\0", 12);
    size_t length = 12;
    for (char *label = strtok(name, "."); label; label = strtok(NULL, ".")) {
        size_t label_octets = strlen(label);
        if (label_octets > 63) return 0;
        into[length++] = label_octets;
        memcpy(into + length, label, label_octets);
        length += label_octets;
    }
    memcpy(into + length, strcmp(type, "AAAA") ? "\0\0\1\0\1" : "\0\0\x1c\0\1", 5);
    length += 5;
    if (with_edns) {
        /* OPT: 4096 octets, version 0, as dnsperf asks. */
        memcpy(into + length, with_do ? "\0\0\x29\x10\0\0\0\x80\0\0\0" : "\0\0\x29\x10\0\0\0\0\0\0\0", 11);
        length += 11;
        into[11] = 1;
    }
    return length;
}

static void read_queries(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    char line[1024];
    size_t length = 0, room = 0, starts_room = 0;
    while (fgets(line, sizeof line, file)) {
        if (length + QUERY_OCTETS_MAX > room) queries = realloc(queries, room = room * 2 + (1 << 20));
        if (query_count + 2 > starts_room)
            query_starts = realloc(query_starts, (starts_room = starts_room * 2 + 4096) * sizeof *query_starts);
        if (!queries || !query_starts) fail("memory");
        size_t added = encode(line, queries + length);
        if (!added) continue;
        query_starts[query_count++] = length;
        length += added;
        query_starts[query_count] = length;
    }
    fclose(file);
    if (!query_count) {
        fprintf(stderr, "%s: no queries\n", path);
        exit(1);
    }
}

static void open_clients(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *address;
    if (getaddrinfo(host, port, &hints, &address)) fail(host);
    for (int i = 0; i < client_count; i++) {
        struct client *client = &clients[i];
        int on = 1, buffer_octets = 4 << 20;
        client->descriptor = socket(address->ai_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        setsockopt(client->descriptor, SOL_SOCKET, SO_RCVBUF, &buffer_octets, sizeof buffer_octets);
        if (rate > 0) setsockopt(client->descriptor, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
        if (connect(client->descriptor, address->ai_addr, address->ai_addrlen)) fail("connect");
        client->sent_ns = calloc(IDS, sizeof *client->sent_ns);
        if (!client->sent_ns) fail("memory");
    }
    freeaddrinfo(address);
}

static void give_up(struct client *client, uint16_t id) {
    client->sent_ns[id] = 0;
    client->outstanding--;
    lost++;
}

/* Counts as lost what has waited too long; IDs are given in turn, so the oldest is first. */
static void expire(struct client *client, uint64_t now) {
    while (client->oldest_id != client->next_id) {
        uint64_t sent_ns = client->sent_ns[client->oldest_id];
        if (sent_ns && sent_ns + timeout_ns > now) return;
        if (sent_ns) give_up(client, client->oldest_id);
        client->oldest_id++;
    }
}

static uint64_t ask(struct client *client, uint64_t count) {
    if (count > BATCH) count = BATCH;
    uint16_t first_id = client->next_id;
    for (uint64_t i = 0; i < count; i++) {
        size_t start = query_starts[next_query], length = query_starts[next_query + 1] - start;
        if (++next_query == query_count) next_query = 0;
        uint16_t id = first_id + i;
        memcpy(octets[i], queries + start, length);
        octets[i][0] = id >> 8;
        octets[i][1] = id & 0xff;
        parts[i] = (struct iovec){octets[i], length};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    uint64_t now = now_ns();
    int done = sendmmsg(client->descriptor, messages, count, 0);
    for (int i = 0; i < done; i++) {
        uint16_t id = client->next_id++;
        if (client->sent_ns[id]) {
            give_up(client, id);
            client->oldest_id = client->next_id;
        }
        client->sent_ns[id] = now;
        client->outstanding++;
    }
    if (done > 0) sent += done;
    return done > 0 ? done : 0;
}

static uint64_t arrival_ns(struct msghdr *header) {
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SO_TIMESTAMPNS) continue;
        struct timespec when;
        memcpy(&when, CMSG_DATA(part), sizeof when);
        return when.tv_sec * NS_PER_S + when.tv_nsec;
    }
    return now_ns();
}

static void note_slow(uint64_t sent_ns, uint64_t wait_ns) {
    uint64_t moment = (sent_ns - began_ns) / MOMENT_NS;
    if (moment >= MOMENTS_MAX || wait_ns <= slowest[moment].wait_ns) return;
    slowest[moment].sent_ns = sent_ns;
    slowest[moment].wait_ns = wait_ns;
}

static void count_answer(struct client *client, struct mmsghdr *message, unsigned char *answer) {
    if (message->msg_len < 12 || !(answer[2] & 0x80)) return;
    uint16_t id = answer[0] << 8 | answer[1];
    uint64_t sent_ns = client->sent_ns[id];
    if (!sent_ns) return; /* Given up, or answered twice. */
    uint64_t arrived = rate > 0 ? arrival_ns(&message->msg_hdr) : now_ns();
    uint64_t wait_ns = arrived > sent_ns ? arrived - sent_ns : 0;
    buckets[bucket_of(wait_ns)]++;
    if (wait_ns > worst_ns) worst_ns = wait_ns;
    if (wait_ns > SLOW_NS) note_slow(sent_ns, wait_ns);
    rcodes[answer[3] & 15]++;
    completed++;
    client->sent_ns[id] = 0;
    client->outstanding--;
}

static void hear(struct client *client) {
    int received = BATCH;
    while (received == BATCH) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){octets[i], sizeof octets[i]};
            messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
            if (rate > 0) {
                messages[i].msg_hdr.msg_control = controls[i];
                messages[i].msg_hdr.msg_controllen = sizeof controls[i];
            }
        }
        received = recvmmsg(client->descriptor, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < received; i++) count_answer(client, &messages[i], octets[i]);
    }
}

/* Sends what is due by now; when the next is. */
static uint64_t ask_what_is_due(uint64_t now) {
    static int turn;
    if (rate <= 0) {
        for (int i = 0; i < client_count; i++) {
            struct client *client = &clients[i];
            int room = outstanding_max / client_count - (int)client->outstanding;
            while (room > 0) {
                uint64_t done = ask(client, room);
                if (!done) break;
                room -= done;
            }
        }
        return now + NS_PER_S / 100;
    }
    uint64_t due = (now - began_ns) / 1e9 * rate;
    if (due > sent) {
        uint64_t late = (due - sent - 1) / rate * 1e9;
        if (late > late_ns) late_ns = late;
    }
    while (due > sent && ask(&clients[turn++ % client_count], due - sent)) continue;
    return began_ns + (uint64_t)((sent + 1) / rate * 1e9);
}

static uint32_t open_count(void) {
    uint32_t count = 0;
    for (int i = 0; i < client_count; i++) count += clients[i].outstanding;
    return count;
}

static void run(void) {
    struct pollfd waiting[SOCKETS_MAX];
    for (int i = 0; i < client_count; i++) waiting[i] = (struct pollfd){clients[i].descriptor, POLLIN, 0};
    uint64_t end = began_ns + (uint64_t)(duration_s * 1e9), expire_at = began_ns;
    for (;;) {
        uint64_t now = now_ns();
        int is_over = stopping || now >= end;
        if (is_over && !open_count()) break;
        uint64_t wake = is_over ? now + NS_PER_S / 100 : ask_what_is_due(now);
        if (now >= expire_at) {
            for (int i = 0; i < client_count; i++) expire(&clients[i], now);
            expire_at = now + NS_PER_S / 100;
        }
        now = now_ns();
        uint64_t rest = wake > now ? wake - now : 0;
        struct timespec patience = {rest / NS_PER_S, rest % NS_PER_S};
        if (ppoll(waiting, client_count, &patience, NULL) <= 0) continue;
        for (int i = 0; i < client_count; i++)
            if (waiting[i].revents) hear(&clients[i]);
    }
}

static void report(double took_s) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_s = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
                   (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"seconds\": %.6f, \"cpu_s\": %.3f, \"sent\": %lu, \"completed\": %lu, \"lost\": %lu, "
           "\"worst_ns\": %lu, \"late_ns\": %lu, \"rcodes\": [",
           took_s, cpu_s, sent, completed, lost, worst_ns, late_ns);
    for (int i = 0; i < 16; i++) printf("%s%lu", i ? ", " : "", rcodes[i]);
    printf("], \"waits_ns\": [");
    const char *comma = "";
    for (size_t i = 0; i < BUCKETS; i++) {
        if (!buckets[i]) continue;
        printf("%s[%lu, %lu]", comma, bucket_end_ns(i), buckets[i]);
        comma = ", ";
    }
    printf("], \"slow\": [");
    comma = "";
    for (size_t i = 0; i < MOMENTS_MAX; i++) {
        if (!slowest[i].wait_ns) continue;
        printf("%s[%.6f, %lu]", comma, slowest[i].sent_ns / 1e9, slowest[i].wait_ns);
        comma = ", ";
    }
    printf("]}\n");
}

int main(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "r:l:c:q:t:eD")) != -1) {
        if (option == 'r') rate = atof(optarg);
        else if (option == 'l') duration_s = atof(optarg);
        else if (option == 'c') client_count = atoi(optarg);
        else if (option == 'q') outstanding_max = atoi(optarg);
        else if (option == 't') timeout_ns = strtoull(optarg, NULL, 10) * (NS_PER_S / 1000);
        else if (option == 'e') with_edns = 1;
        else if (option == 'D') with_edns = with_do = 1;
        else return 2;
    }
    if (argc - optind != 3 || client_count < 1 || client_count > SOCKETS_MAX) {
        fprintf(stderr, "usage: see the head of udp_load.c\n");
        return 2;
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    prctl(PR_SET_TIMERSLACK, 1);
    read_queries(argv[optind + 2]);
    open_clients(argv[optind], argv[optind + 1]);
    began_ns = now_ns();
    run();
    report((now_ns() - began_ns) / 1e9);
}
