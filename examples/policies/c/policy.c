/* Home first: a message goes to a consumer of its own region, the one that was served least; where there is none, to the
 * one of all that was served least.
 *
 * A consumer's region is its client id up to the first dot; a message's is a property. Setting: `property` = `region`.
 * The state is how often each consumer was served. */
#include "jackfield_policy.h"

/* Format of the state: a number that no other policy has. */
#define STATE_FORMAT 3408628993u

enum { REGION_MAX = 64, MEMBERS_MAX = 4096, PROPERTY_MAX = 128, SYMBOLS_MAX = 1024 };

typedef struct { char at[REGION_MAX]; uint8_t length; } region;
static struct { uint32_t slot, served; uint8_t is_here; region home; } members[MEMBERS_MAX];
static size_t member_count;
/* A state was taken over: who is in it and was not heard of before the next plan is gone. */
static int is_restored;
static char property_name[PROPERTY_MAX] = "region";
static size_t property_length = 6;
/* Regions of symbols, at the symbol modulo their number. */
static struct { uint32_t symbol; region home; } known[SYMBOLS_MAX];

static region copied(text from) {
    region out = {.length = from.length < REGION_MAX ? from.length : REGION_MAX};
    for (size_t i = 0; i < out.length; i++) out.at[i] = from.at[i];
    return out;
}

static int same_region(const region *a, const region *b) {
    return same((text){a->at, a->length}, (text){b->at, b->length});
}

/* The place of a slot among the members; as many as there are if it is none of them. */
static size_t place_of(uint32_t slot) {
    size_t at = 0;
    while (at < member_count && members[at].slot != slot) at++;
    return at;
}

static void policy_describe(requirements *wants) {
    static text properties[1];
    static const uint32_t formats[] = {STATE_FORMAT};
    properties[0] = (text){property_name, property_length};
    *wants = (requirements){
        .properties = properties, .properties_length = 1, .max_rows = 256, .state_version = STATE_FORMAT, .restores = formats, .restores_length = 1};
}

static text policy_configure(const setting *settings, size_t length) {
    static const char unknown[] = "the only setting is property, the name of the message property with the region";
    static const char bad[] = "setting property is empty or longer than 128 bytes; name a message property";
    property_length = 6;
    for (size_t i = 0; i < 6; i++) property_name[i] = "region"[i];
    for (size_t i = 0; i < length; i++) {
        if (!same(settings[i].key, (text){"property", 8})) return (text){unknown, sizeof unknown - 1};
        text value = settings[i].value;
        if (value.length == 0 || value.length > PROPERTY_MAX) return (text){bad, sizeof bad - 1};
        for (size_t j = 0; j < value.length; j++) property_name[j] = value.at[j];
        property_length = value.length;
    }
    return (text){0, 0};
}

static void policy_joined(const member *consumer) {
    size_t at = place_of(consumer->slot), dot = 0;
    if (at == MEMBERS_MAX) return;
    if (at == member_count) {
        members[member_count++].served = 0;
        members[at].slot = consumer->slot;
    }
    members[at].is_here = 1;
    while (dot < consumer->client_id.length && consumer->client_id.at[dot] != '.') dot++;
    members[at].home = copied((text){consumer->client_id.at, dot});
}

static void policy_left(uint32_t slot) {
    size_t at = place_of(slot);
    if (at < member_count) members[at] = members[--member_count];
}

/* The region that a symbol names. */
static const region *region_of(uint32_t symbol) {
    size_t at = symbol % SYMBOLS_MAX;
    if (symbol != 0 && known[at].symbol != symbol) {
        known[at].home = copied(text_of(symbol));
        known[at].symbol = symbol;
    }
    return &known[at].home;
}

static void policy_plan(const batch *messages, const consumers *now, uint32_t *plan) {
    const column *regions = column_of(messages, 1000);
    size_t count = now->count;
    for (size_t at = 0; is_restored && at < member_count;) {
        if (members[at].is_here) at++;
        else members[at] = members[--member_count];
    }
    is_restored = 0;
    uint32_t *credit = arena(count * sizeof *credit, 4);
    size_t *place = arena(count * sizeof *place, 4);
    for (size_t at = 0; at < count; at++) {
        place[at] = place_of(now->slots[at]);
        credit[at] = place[at] < member_count ? now->credit[at] : 0;
    }
    for (size_t row = 0; row < messages->rows; row++) {
        const region *home = region_of(regions ? regions->symbols[row] : 0);
        size_t best = count;
        int best_at_home = 0;
        for (size_t at = 0; at < count; at++) {
            if (credit[at] == 0 || !is_candidate(messages, now, row, at)) continue;
            int at_home = home->length > 0 && same_region(home, &members[place[at]].home);
            int better = best == count || at_home > best_at_home ||
                         (at_home == best_at_home && members[place[at]].served < members[place[best]].served);
            if (better) {
                best = at;
                best_at_home = at_home;
            }
        }
        if (best == count) continue;
        credit[best]--;
        if (members[place[best]].served < UINT32_MAX) members[place[best]].served++;
        plan[row] = now->slots[best];
    }
}

static size_t policy_snapshot(uint8_t *out, size_t limit) {
    if (member_count * 8 > limit) return member_count * 8;
    for (size_t i = 0; i < member_count; i++)
        for (size_t j = 0; j < 4; j++) {
            out[i * 8 + j] = members[i].slot >> (8 * j);
            out[i * 8 + 4 + j] = members[i].served >> (8 * j);
        }
    return member_count * 8;
}

static int policy_restore(const uint8_t *state, size_t length) {
    if (length % 8 != 0 || length / 8 > MEMBERS_MAX) return 0;
    member_count = length / 8;
    is_restored = 1;
    for (size_t i = 0; i < member_count; i++) {
        members[i].slot = members[i].served = 0;
        members[i].home.length = 0;
        members[i].is_here = 0;
        for (size_t j = 0; j < 4; j++) {
            members[i].slot |= (uint32_t)state[i * 8 + j] << (8 * j);
            members[i].served |= (uint32_t)state[i * 8 + 4 + j] << (8 * j);
        }
    }
    return 1;
}
