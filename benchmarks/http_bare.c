/* Answers whatever comes over HTTP with the same few octets and closes: what the kernel takes from any such server.
 *
 * usage: http_bare ADDRESS PORT.  One thread, epoll; ends with its parent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 64
#define ACCEPTS 32

static const char answer[] =
    "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 8\r\nConnection: close\r\n\r\nblocked\n";

int main(int argc, char **argv) {
    static const int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET};
    if (argc != 3 || !inet_aton(argv[1], &at.sin_addr)) return 2;
    at.sin_port = htons((uint16_t)atoi(argv[2]));
    prctl(PR_SET_PDEATHSIG, 9);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) return 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; ++i) {
            int descriptor = events[i].data.fd;
            if (descriptor == listener) {
                for (int n = 0, one; n < ACCEPTS && (one = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0; ++n) {
                    event.data.fd = one;
                    epoll_ctl(poller, EPOLL_CTL_ADD, one, &event);
                }
                continue;
            }
            char octets[4096];
            if (recv(descriptor, octets, sizeof octets, 0) > 0)
                (void)!send(descriptor, answer, sizeof answer - 1, MSG_NOSIGNAL);
            close(descriptor);
        }
    }
}
