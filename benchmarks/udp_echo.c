/* The limit: answers every datagram with itself, QR set and rcode NXDOMAIN, in batches.
 *
 * What a name server costs beyond this is DNS; what this costs is the kernel.
 * One process for each address (127.0.0.1, and ::1 where there is one) and each thread asked for, so that
 * every one of them sits in one blocking call; those nobody asks cost nothing.
 * usage: udp_echo PORT [THREADS]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define DATAGRAM_OCTETS_MAX 1500
#define HEADER_OCTETS 12

static struct mmsghdr messages[BATCH];
static struct iovec parts[BATCH];
static struct sockaddr_in6 peers[BATCH];
static char octets[BATCH][DATAGRAM_OCTETS_MAX];

static int open_socket(int family, int port) {
    int descriptor = socket(family, SOCK_DGRAM, 0), on = 1;
    /* A burst waits in the kernel instead of being lost. */
    int buffer_octets = 8 << 20;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer_octets, sizeof buffer_octets);
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int failed = family == AF_INET ? bind(descriptor, (struct sockaddr *)&ipv4, sizeof ipv4)
                                   : bind(descriptor, (struct sockaddr *)&ipv6, sizeof ipv6);
    return failed ? -1 : descriptor;
}

static void echo(int descriptor) {
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){octets[i], DATAGRAM_OCTETS_MAX};
            messages[i].msg_hdr = (struct msghdr){
                .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &peers[i], .msg_namelen = sizeof peers[i]};
        }
        int received = recvmmsg(descriptor, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < received; i++) {
            parts[i].iov_len = messages[i].msg_len;
            if (messages[i].msg_len < HEADER_OCTETS) continue;
            octets[i][2] |= (char)0x80;
            octets[i][3] = (char)0x83;
        }
        for (int sent = 0; sent < received;) {
            int count = sendmmsg(descriptor, messages + sent, received - sent, 0);
            if (count <= 0) break;
            sent += count;
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    int port = atoi(argv[1]), threads = argc > 2 ? atoi(argv[2]) : 1;
    const int families[] = {AF_INET, AF_INET6};
    for (int which = 0; which < 2; which++) {
        for (int thread = 0; thread < threads; thread++) {
            int descriptor = open_socket(families[which], port);
            if (descriptor < 0 && families[which] == AF_INET) {
                perror("bind");
                return 1;
            }
            if (descriptor < 0) continue;
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                echo(descriptor);
            }
            close(descriptor);
        }
    }
    for (;;) pause();
}
