/* What both halves of the compiled helper share: the layout of a ring's records (mediaproxy/recording/ring.py). */
#ifndef MEDIAPROXY_HOT_H
#define MEDIAPROXY_HOT_H

#include <stdint.h>

enum { SLOT_BYTES = 1536, HEADER_BYTES = 32, HAS_PAYLOAD = 1, IS_DIGIT = 2 };
enum { LEAST_LEFT_OUT = 64, MORE_LEFT_OUT = 128 };

struct record {
    uint32_t generation;
    uint8_t leg, flags, payload_type, marker;
    uint32_t ssrc;
    uint16_t seq, length;
    uint32_t timestamp;
    int64_t arrival_ns;
    uint32_t pass_number;
    uint8_t payload[SLOT_BYTES - HEADER_BYTES];
} __attribute__((packed));

_Static_assert(sizeof(struct record) == SLOT_BYTES, "a record fills a slot");

#endif
