/* The recorder's inner loops: see mediaproxy/recording/lanes.py, whose rules and numbers these are. */
#include <stddef.h>
#include <string.h>

#include "hot.h"

enum { NS_PER_SAMPLE = 125000, SLICE = 2000, SLICES = 40, GENERATIONS = 1 << 16, AHEAD = 6, CHANNELS = 2 };
enum { NOT_LENT = -1 };
static const int64_t NO_TRANSIT = INT64_C(1) << 62;

/* A column of `Lanes._lanes`, in its order. */
struct lane {
    int64_t who, next, answered, position, last, floor, due, room, offset, row, count, group, into, base;
    int64_t began, law;
};

/* What the recorder owns: the fields of `compiled.Desk`. */
struct desk {
    struct lane *lanes;
    const int32_t *slot_of;
    const int64_t *generation;
    int64_t *least;
    int32_t *slice;
    uint8_t *const *blocks;
    const int16_t *laws[2]; /* what each code sounds like */
    int64_t row_frames, phase, gap, raised, lower;
};

/* The fields of a record that must come, as words: `lanes.WHO` and `lanes.NEXT`. */
struct words {
    int64_t who, next;
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static struct words words_of(const struct record *record)
{
    struct words words;
    memcpy(&words, (const uint8_t *)record + offsetof(struct record, leg), sizeof words);
    words.who &= ~(INT64_C(0xFF) << 24); /* a talkspurt's begin changes nothing */
    return words;
}

static void fetch_ahead(const struct record *record)
{
    for (int line = 0; line < 4; line++)
        __builtin_prefetch((const uint8_t *)record + 64 * line);
}

static void note(const struct desk *desk, int64_t row, int64_t slice, int64_t transit)
{
    int64_t at = row * SLICES + (slice - floor_div(slice, SLICES) * SLICES);

    if (desk->slice[at] != slice || transit < desk->least[at])
        desk->least[at] = transit;
    desk->slice[at] = (int32_t)slice;
}

/* Whether the record was the very one that its lane expects; then it is placed. */
static int place_one(const struct desk *desk, const struct record *record, const int64_t *passes, uint32_t mask)
{
    int64_t slot = desk->slot_of[record->generation % GENERATIONS];
    struct lane *lane = &desk->lanes[slot * 2 + (record->leg & 1)];
    struct words words = words_of(record);

    if (desk->generation[slot] != record->generation || words.who != lane->who || words.next != lane->next)
        return 0;
    int64_t arrival = floor_div(record->arrival_ns - lane->answered, NS_PER_SAMPLE);
    int64_t earliest = floor_div(passes[record->pass_number & mask] - lane->answered, NS_PER_SAMPLE);
    int64_t end = lane->position + record->length;
    if (earliest - lane->last > desk->gap || end < earliest - desk->raised || end > arrival + desk->lower ||
        end - lane->base > lane->room || arrival < lane->floor || arrival >= lane->due)
        return 0;
    if (lane->group >= 0)
        memcpy(desk->blocks[lane->group] + lane->into + lane->position - lane->base, record->payload,
               record->length);
    note(desk, lane->row, floor_div(arrival, SLICE), arrival - end + lane->offset);
    lane->next = (int64_t)((uint64_t)(record->timestamp + record->length) << 32 |
                           (uint64_t)record->length << 16 | (uint16_t)(record->seq + 1));
    lane->position = end;
    lane->last = arrival;
    lane->count++;
    return 1;
}

/* Places records in order, from `at` on, up to one that is not regular; returns its index, or `count`. */
int64_t recorder_place(const struct desk *desk, const struct record *records, int64_t at, int64_t count,
                       const int64_t *passes, uint32_t mask)
{
    for (; at < count; at++) {
        if (at + AHEAD < count)
            fetch_ahead(&records[at + AHEAD]);
        if (!place_one(desk, &records[at], passes, mask))
            break;
    }
    return at;
}

/* The least transit that a row noted in so many slices that end with `last`, or `NO_TRANSIT`. */
int64_t recorder_least(const int64_t *least, const int32_t *slice, int64_t last, int64_t slices)
{
    int64_t found = NO_TRANSIT;

    for (int at = 0; at < SLICES; at++)
        if (slice[at] > last - slices && slice[at] <= last && least[at] < found)
            found = least[at];
    return found;
}

/* Zeros in place of what the records carry. */
void recorder_wipe(struct record *records, int64_t count)
{
    for (int64_t at = 0; at < count; at++)
        if (records[at].flags & HAS_PAYLOAD)
            memset(records[at].payload, 0, records[at].length);
}

static int is_full(const struct desk *desk, const struct lane *lane, int64_t until)
{
    return lane->who != NOT_LENT && lane->group >= 0 && lane->began <= lane->base && lane->position > until &&
           lane->room == desk->row_frames;
}

static void decode(const uint8_t *left, const uint8_t *right, const int16_t *left_law, const int16_t *right_law,
                   int64_t frames, uint32_t *sound)
{
    for (int64_t at = 0; at < frames; at++)
        sound[at] = (uint16_t)left_law[left[at]] | (uint32_t)(uint16_t)right_law[right[at]] << 16;
}

static void move_to_front(uint8_t *codes, int64_t frames, int64_t used)
{
    memmove(codes, codes + frames, used - frames);
    memset(codes + used - frames, 0, frames);
}

/* Hands out the next `frames` of those calls both of whose tracks are full up to there: writes to `taken` which
 * they are and to `sound` what they said; returns how many. */
int64_t recorder_take(const struct desk *desk, const int64_t *slots, int64_t count, int64_t frames, int64_t *taken,
                      uint32_t *sound)
{
    int64_t found = 0;

    for (int64_t at = 0; at < count; at++) {
        struct lane *a = &desk->lanes[slots[at] * 2], *b = a + 1;
        int64_t until = a->base + frames;
        if ((until + desk->phase) % frames || !is_full(desk, a, until) || !is_full(desk, b, until))
            continue;
        int64_t law = a->law | b->law, used = (a->position > b->position ? a->position : b->position) - a->base;
        int64_t row = a->into / (CHANNELS * desk->row_frames);
        uint8_t *left = desk->blocks[a->group] + row * CHANNELS * desk->row_frames;
        uint8_t *right = left + desk->row_frames;
        decode(left, right, desk->laws[law & 1], desk->laws[law >> 1 & 1], frames, sound + found * frames);
        move_to_front(left, frames, used);
        move_to_front(right, frames, used);
        taken[found++] = slots[at];
        a->base = b->base = until;
    }
    return found;
}
