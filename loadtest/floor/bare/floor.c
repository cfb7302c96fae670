// The floor: the least a server can do and still move the same bytes over the same sockets as a node does. One thread and one
// epoll instance accept, answer the handshake with a prebuilt text, read and drop whatever comes, and write one prebuilt frame to
// every socket twenty times a second, with one write(2) each.
//
// It parses no frame, unmasks nothing, keeps no session and closes on the first trouble. What it costs is what the kernel takes
// for the traffic; everything a node costs on top of it is the node's own.
//
// It is C and not Go because it is the yardstick, and a yardstick must not need a runtime: see loadtest/floor/doc.go for what the
// same loop in Go cost.
//
//	usage: floor          prints "Game ws://127.0.0.1:PORT/" and serves until it is killed

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_FDS = 20000,
	MAX_EVENTS = 1024,
	RATE_HZ = 20,
	STATE_BYTES = 256,
	TICK_AT = 17,   // in the frame: 4 of header, [19, room, epoch of 9 bytes, 0xcd
	STATE_AT = 27,
	FRAME_BYTES = STATE_AT + STATE_BYTES,
};

// The answer to the key of RFC 6455, section 1.3, which is the one that the load client sends.
static const char accepted[] =
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tickover.v1\r\n\r\n";

// One tick and one state of docs/PROTOCOL.md; tick number and state are patched.
static unsigned char frame[FRAME_BYTES] = {
	0x82, 126, (FRAME_BYTES - 4) >> 8, (FRAME_BYTES - 4) & 0xff,                      // binary, length
	0x95, 19, 1, 0xcf, 0, 0, 1, 0xa1, 0xee, 0x47, 0x1b, 0xc0, 0xcd, 0, 0, 0xcd, 1, 0, // [19, 1, epoch, tick, 256]
	0x92, 20, 0xc5, STATE_BYTES >> 8, STATE_BYTES & 0xff,                             // [20, bin of 256]
};

static struct {
	char open;    // the handshake is done
	int place;    // in list
} peer[MAX_FDS];
static int list[MAX_FDS], peers; // open ones

static void die(const char *what) {
	perror(what);
	exit(1);
}

static int64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void drop(int fd) {
	if (peer[fd].open) {
		int last = list[--peers];
		list[peer[fd].place] = last;
		peer[last].place = peer[fd].place;
		peer[fd].open = 0;
	}
	close(fd);
}

static void take(int epoll, int listener) {
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (fd >= MAX_FDS) {
		close(fd);
		return;
	}
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		close(fd);
}

// The first read of a socket is taken for its whole request, which is true on loopback.
static void receive(int fd) {
	static char dropped[65536];
	ssize_t n = read(fd, dropped, sizeof dropped);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		drop(fd);
	} else if (n > 0 && !peer[fd].open) {
		if (write(fd, accepted, sizeof accepted - 1) != sizeof accepted - 1) {
			close(fd);
			return;
		}
		peer[fd].open = 1;
		peer[fd].place = peers;
		list[peers++] = fd;
	}
}

// A socket that does not take a whole frame loses it: the load client counts what arrives.
static void fan_out(uint16_t tick) {
	frame[TICK_AT] = tick >> 8;
	frame[TICK_AT + 1] = tick & 0xff;
	memset(frame + STATE_AT, tick, STATE_BYTES);
	for (int i = peers - 1; i >= 0; i--) {
		int fd = list[i];
		if (write(fd, frame, sizeof frame) < 0 && errno != EAGAIN)
			drop(fd);
	}
}

static int listen_on_loopback(void) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &size) < 0)
		die("listen");
	printf("Game ws://127.0.0.1:%d/\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

int main(void) {
	signal(SIGPIPE, SIG_IGN); // a peer that left is seen when writing
	struct rlimit files = {MAX_FDS, MAX_FDS};
	setrlimit(RLIMIT_NOFILE, &files); // what cannot be had shows when accepting
	int listener = listen_on_loopback(), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
		die("epoll");
	static struct epoll_event ready[MAX_EVENTS];
	const int64_t period = INT64_C(1000000000) / RATE_HZ;
	int64_t due = now_ns() + period;
	uint16_t tick = 256; // three bytes in msgpack from here on
	for (;;) {
		int64_t wait = due - now_ns();
		int n = epoll_wait(epoll, ready, MAX_EVENTS, wait <= 0 ? 0 : (int)((wait + 999999) / 1000000));
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (ready[i].data.fd == listener)
				take(epoll, listener);
			else
				receive(ready[i].data.fd);
		}
		if (now_ns() >= due) {
			fan_out(tick);
			tick = tick == 65535 ? 256 : tick + 1;
			due += period;
		}
	}
}
