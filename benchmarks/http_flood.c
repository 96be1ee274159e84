/* Offers an HTTP server new connections at a fixed rate, each with one request, from many loopback addresses.
 *
 * Nothing waits for anything: a server that stalls, refuses or drops is offered the next connection all the same.  A
 * connection is answered when the server has sent something and closed, and given up after a second.
 *
 * usage: http_flood -r CONNECTIONS_PER_S [-l SECONDS] [-a SOURCES] [-n HOST_NAME] ADDRESS PORT
 * Sources are 127.1.0.1 and its followers.  Ends by itself.  Writes one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#define OPEN_MAX_ALL 40000
#define NS_PER_S 1000000000ull
#define PATIENCE_NS NS_PER_S
#define EVENTS 256

struct connection {
    uint64_t since_ns;
    int is_open, has_asked, has_heard, next;
};

/* By descriptor; those that are open stand in a list, the oldest first. */
static struct connection connections[OPEN_MAX_ALL + 64];
static int newest = -1, oldest = -1, previous_of[OPEN_MAX_ALL + 64];
static uint64_t offered, answered, refused, given_up, unsent;
static int open_count, poller;
static char request[512];
static size_t request_octets;

static uint64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * NS_PER_S + (uint64_t)at.tv_nsec;
}

static void end(int descriptor, uint64_t *count) {
    struct connection *one = &connections[descriptor];
    int before = previous_of[descriptor];
    if (before >= 0) connections[before].next = one->next;
    else oldest = one->next;
    if (one->next >= 0) previous_of[one->next] = before;
    else newest = before;
    one->is_open = 0;
    ++*count;
    --open_count;
    close(descriptor);
}

static void offer(const struct sockaddr_in *to, unsigned source) {
    static const int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    ++offered;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || descriptor >= OPEN_MAX_ALL) {
        ++unsent;
        if (descriptor >= 0) close(descriptor);
        return;
    }
    from.sin_addr.s_addr = htonl(0x7f010001u + source);
    setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(descriptor, (struct sockaddr *)&from, sizeof from) ||
        (connect(descriptor, (const struct sockaddr *)to, sizeof *to) && errno != EINPROGRESS)) {
        ++unsent;
        close(descriptor);
        return;
    }
    connections[descriptor] = (struct connection){.since_ns = now_ns(), .is_open = 1, .next = -1};
    previous_of[descriptor] = newest;
    if (newest >= 0) connections[newest].next = descriptor;
    else oldest = descriptor;
    newest = descriptor;
    ++open_count;
    /* Over loopback the other end's kernel has mostly accepted by now. */
    int has_asked = send(descriptor, request, request_octets, MSG_NOSIGNAL) == (ssize_t)request_octets;
    connections[descriptor].has_asked = has_asked;
    struct epoll_event event = {.events = has_asked ? EPOLLIN : EPOLLOUT, .data.fd = descriptor};
    epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event);
}

static void on_ready(int descriptor, uint32_t events) {
    struct connection *one = &connections[descriptor];
    char octets[16384];
    if (!one->has_asked && events & EPOLLOUT) {
        if (send(descriptor, request, request_octets, MSG_NOSIGNAL) != (ssize_t)request_octets) {
            end(descriptor, &refused);
            return;
        }
        one->has_asked = 1;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
        epoll_ctl(poller, EPOLL_CTL_MOD, descriptor, &event);
        return;
    }
    ssize_t got = recv(descriptor, octets, sizeof octets, 0);
    if (got > 0) one->has_heard = 1;
    else if (got == 0 || errno != EAGAIN) end(descriptor, one->has_heard ? &answered : &refused);
}

int main(int argc, char **argv) {
    double rate = 0, seconds = 5;
    unsigned sources = 200;
    const char *name = "www.example.org";
    for (int option; (option = getopt(argc, argv, "r:l:a:n:")) != -1;) {
        if (option == 'r') rate = atof(optarg);
        else if (option == 'l') seconds = atof(optarg);
        else if (option == 'a') sources = (unsigned)atoi(optarg);
        else if (option == 'n') name = optarg;
        else return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (argc - optind != 2 || rate <= 0 || sources < 1 || !inet_aton(argv[optind], &to.sin_addr)) return 2;
    if (ntohl(to.sin_addr.s_addr) >> 24 != 127) return 2; /* Loopback, and nothing else. */
    to.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
    prctl(PR_SET_PDEATHSIG, 9);
    struct rlimit files = {OPEN_MAX_ALL, OPEN_MAX_ALL};
    setrlimit(RLIMIT_NOFILE, &files);
    request_octets = (size_t)snprintf(
        request, sizeof request,
        "GET / HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\nAccept-Language: de\r\nConnection: close\r\n\r\n", name);
    poller = epoll_create1(EPOLL_CLOEXEC);
    uint64_t began = now_ns(), until = began + (uint64_t)(seconds * 1e9), now;
    while ((now = now_ns()) < until || open_count) {
        uint64_t due = now < until ? (uint64_t)((double)(now - began) * rate / 1e9) : offered;
        for (int batch = 0; offered < due && batch < 64; ++batch) offer(&to, (unsigned)(offered % sources));
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, 0);
        for (int i = 0; i < count; ++i)
            if (connections[events[i].data.fd].is_open) on_ready(events[i].data.fd, events[i].events);
        while (oldest >= 0 && now > connections[oldest].since_ns + PATIENCE_NS) end(oldest, &given_up);
        if (count == 0 && offered >= due) usleep(50);
    }
    printf("{\"offered\": %lu, \"answered\": %lu, \"refused\": %lu, \"given_up\": %lu, \"unsent\": %lu, \"seconds\": %.3f}\n",
           offered, answered, refused, given_up, unsent, (double)(until - began) / 1e9);
    return 0;
}
