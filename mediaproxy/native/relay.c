/* A pass over ready sockets: what mediaproxy/media/userspace/relay.py does with a packet that needs nothing
 * but copying. Whatever else it meets it leaves to that, in its turn: nothing here decides. */

#include "hot.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { PLAIN = 0x80, RTP_BYTES = 12, TAP_PAYLOAD = 2, DETOUR = 3 }; /* leg.Action: DETOUR and more is Python's */

/* A leg whose party is known and whose packets go straight on. */
struct line {
    int32_t out; /* the other leg's socket, connected to its party */
    uint32_t generation;
    uint8_t lent, leg, heard, left_out; /* `heard`: `last` holds a header; so many more are not tapped */
    int32_t descriptor;
    int64_t last_ns;
    uint64_t packets, relayed, oversize, send_failed; /* since it was lent */
    uint8_t last[RTP_BYTES], unused_too[4];
    uint8_t actions[256]; /* by a packet's second byte */
};

_Static_assert(sizeof(struct line) == 328, "as lines.py lays it out");

struct pass {
    int32_t *line_of; /* by descriptor; 0 is nobody's */
    struct line *lines;
    struct record *ring;
    uint8_t *buffer; /* of `most` + 1 bytes */
    struct epoll_event *events; /* room for some, and as much in the two that follow */
    int32_t *ready, *left; /* descriptors; those that Python is to read */
    uint64_t *dropped; /* (generation * 2 + leg) * 2 of whom the ring had no room for, plus 1: has it again */
    uint64_t mask, written, until; /* of the ring: records may be written up to `until` */
    uint32_t pass_number;
    int32_t descriptors, most; /* so many are in `line_of` */
    int32_t count, next, left_count; /* ready ones; the next of them; those left */
    int32_t dropped_count;
    int32_t held, size; /* whose packet lies in the buffer for Python, or -1; and its bytes */
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void tap(struct pass *pass, struct line const *line, ssize_t size, int64_t at_ns, int payload)
{
    uint8_t const *packet = pass->buffer;
    struct record *record = &pass->ring[pass->written++ & pass->mask];
    uint16_t length = (uint16_t)(size - RTP_BYTES);

    record->generation = line->generation;
    record->leg = line->leg;
    record->flags = payload ? HAS_PAYLOAD : 0;
    record->payload_type = packet[1] & 0x7f;
    record->marker = packet[1] >> 7;
    record->ssrc = (uint32_t)packet[8] << 24 | packet[9] << 16 | packet[10] << 8 | packet[11];
    record->seq = (uint16_t)(packet[2] << 8 | packet[3]);
    record->length = length;
    record->timestamp = (uint32_t)packet[4] << 24 | packet[5] << 16 | packet[6] << 8 | packet[7];
    record->arrival_ns = at_ns;
    record->pass_number = pass->pass_number;
    if (payload)
        memcpy(record->payload, packet + RTP_BYTES, length);
}

static void tell_dropped(struct pass *pass, struct line const *line, int again)
{
    pass->dropped[pass->dropped_count++] = ((uint64_t)line->generation * 2 + line->leg) * 2 + again;
}

/* Reads one packet of a line. 0: the packet is Python's. */
static int relay(struct pass *pass, int descriptor, struct line *line)
{
    uint8_t *packet = pass->buffer;
    ssize_t size = recv(descriptor, packet, (size_t)pass->most + 1, 0);
    int64_t at_ns = now_ns();
    uint8_t action;

    if (size < 0)
        return 1; /* an ICMP error, or a datagram with a wrong checksum was all there was */
    if (size > pass->most) {
        line->oversize++;
        return 1;
    }
    action = line->actions[packet[1]];
    if (size < RTP_BYTES || packet[0] != PLAIN || action >= DETOUR) {
        pass->size = (int32_t)size;
        return 0;
    }
    line->packets++;
    line->last_ns = at_ns;
    if (send(line->out, packet, (size_t)size, 0) < 0 /* the error may be of the packet before: see Leg.send_again */
        && (errno != ECONNREFUSED || send(line->out, packet, (size_t)size, 0) < 0)) {
        line->send_failed++;
        return 1;
    }
    line->relayed++;
    line->heard = 1;
    memcpy(line->last, packet, RTP_BYTES);
    if (!action)
        return 1;
    if (line->left_out) {
        if (--line->left_out == 0)
            tell_dropped(pass, line, 1);
    } else if (pass->written < pass->until) {
        tap(pass, line, size, at_ns, action == TAP_PAYLOAD);
    } else {
        line->left_out = LEAST_LEFT_OUT + (line->generation * 2 + line->leg) % MORE_LEFT_OUT - 1;
        tell_dropped(pass, line, 0);
    }
    return 1;
}

/* Asks once which sockets are ready. */
int relay_poll(struct pass *pass, int epoll, int at_most)
{
    pass->next = pass->left_count = 0;
    pass->count = epoll_wait(epoll, pass->events, at_most, 0);
    if (pass->count < 0)
        pass->count = 0; /* interrupted: the next pass asks again */
    for (int at = 0; at < pass->count; at++)
        pass->ready[at] = pass->events[at].data.fd;
    return pass->count;
}

/* Reads each ready socket once, but for those that are left. It returns when all are done (`held` is -1), or with
 * a packet that is for Python; then it is to be called again. */
void relay_read(struct pass *pass)
{
    pass->held = -1;
    pass->dropped_count = 0;
    while (pass->next < pass->count) {
        int descriptor = pass->ready[pass->next++];
        struct line *line = &pass->lines[descriptor < pass->descriptors ? pass->line_of[descriptor] : 0];

        if (!line->lent) {
            pass->left[pass->left_count++] = descriptor;
        } else if (!relay(pass, descriptor, line)) {
            pass->held = descriptor;
            return;
        }
    }
}
