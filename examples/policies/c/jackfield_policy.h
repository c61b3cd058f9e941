/* A dispatch policy for the Jackfield message broker in C: what it sees and says, and the glue to the component model.
 *
 * Write the seven functions below in one source file that includes this header once; no C library is needed. What they
 * are called with is valid until they return. The manual is wit/policy.wit. */
#ifndef JACKFIELD_POLICY_H
#define JACKFIELD_POLICY_H

#include <stddef.h>
#include <stdint.h>

/* In a plan: leave the row where it is. */
#define LEAVE UINT32_MAX

/* Bytes that are no C string: nothing ends them. */
typedef struct { const char *at; size_t length; } text;

/* A column of a batch or of the consumers; `kind` says which pointer holds. */
typedef struct {
    uint32_t id;
    uint8_t kind; /* 0 u8s, 1 u32s, 2 s64s, 3 f64s, 4 symbols */
    union { const uint8_t *u8s; const uint32_t *u32s; const int64_t *s64s; const double *f64s; const uint32_t *symbols; };
    size_t length;
} column;

typedef struct {
    uint64_t now_ms;
    uint32_t destination; /* a symbol */
    uint32_t rows;
    const column *columns;
    size_t columns_length;
    const uint64_t *candidates; /* a bit matrix by rows; none if any consumer may take any row */
    size_t candidates_length;
} batch;

typedef struct {
    const uint32_t *slots;
    size_t count; /* of consumers; the length of each list */
    const uint32_t *credit;
    size_t credit_length;
    const uint32_t *in_flight;
    size_t in_flight_length;
    const int16_t *priority;
    size_t priority_length;
    const column *columns;
    size_t columns_length;
} consumers;

typedef struct { uint32_t slot; text client_id; text selector; uint8_t is_network; } member;
typedef struct { text key; text value; } setting;

typedef struct {
    const uint32_t *columns;
    size_t columns_length;
    const text *properties;
    size_t properties_length;
    uint32_t max_rows;
    uint32_t state_version;
    const uint32_t *restores;
    size_t restores_length;
} requirements;

/* What the policy wants to see. Zeroed before. */
static void policy_describe(requirements *wants);
/* Takes all the settings. An empty text if they are good, else a sentence for the operator. */
static text policy_configure(const setting *settings, size_t length);
static void policy_joined(const member *consumer);
static void policy_left(uint32_t slot);
/* Fills in a slot for each row; all are LEAVE before. */
static void policy_plan(const batch *messages, const consumers *now, uint32_t *plan);
/* Writes the state to `out`, at most `limit` bytes; gives its length, or more than `limit` if it does not fit. */
static size_t policy_snapshot(uint8_t *out, size_t limit);
/* Takes over a state; 0 if it makes no sense of it. */
static int policy_restore(const uint8_t *state, size_t length);

/* ---- Help ---------------------------------------------------------------------------------------------------------- */

/* True if the consumer at index `at` may take `row`, credit aside. */
static inline int is_candidate(const batch *messages, const consumers *now, size_t row, size_t at) {
    size_t words = (now->count + 63) / 64;
    return messages->candidates_length == 0 || messages->candidates[row * words + at / 64] >> (at % 64) & 1;
}

/* The column with this id; the first property has 1000. None if it was not asked for. */
static inline const column *column_of(const batch *messages, uint32_t id) {
    for (size_t i = 0; i < messages->columns_length; i++)
        if (messages->columns[i].id == id) return &messages->columns[i];
    return 0;
}

static inline int same(text a, text b) {
    if (a.length != b.length) return 0;
    for (size_t i = 0; i < a.length; i++)
        if (a.at[i] != b.at[i]) return 0;
    return 1;
}

/* ---- Glue: memory that lives from the arguments of a call to the end of its answer --------------------------------- */

extern unsigned char __heap_base;
static uintptr_t arena_at;

static void *arena(size_t bytes, size_t align) {
    if (arena_at == 0) arena_at = (uintptr_t)&__heap_base;
    uintptr_t at = (arena_at + align - 1) & ~(uintptr_t)(align - 1);
    size_t have = __builtin_wasm_memory_size(0) * 65536;
    if (bytes > SIZE_MAX - at) __builtin_trap();
    if (at + bytes > have && __builtin_wasm_memory_grow(0, (at + bytes - have + 65535) / 65536) == (size_t)-1) __builtin_trap();
    arena_at = at + bytes;
    return (void *)at;
}

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t new_size) {
    char *fresh = arena(new_size, align);
    for (size_t i = 0; old && i < old_size && i < new_size; i++) fresh[i] = ((char *)old)[i];
    return fresh;
}

__attribute__((import_module("jackfield:policy/symbols@0.1.0"), import_name("text"))) void symbols_text(uint32_t symbol, text *out);
__attribute__((import_module("jackfield:policy/telemetry@0.1.0"), import_name("log"))) void telemetry_log(uint32_t level, const char *at, size_t length);

/* The text of a symbol; valid during this call, so keep a copy of your own. */
static inline text text_of(uint32_t symbol) {
    text out;
    symbols_text(symbol, &out);
    return out;
}

#define LIFECYCLE "jackfield:policy/lifecycle@0.1.0#"
#define QUEUE_DISPATCH "jackfield:policy/queue-dispatch@0.1.0#"
#define EXPORTED(name) __attribute__((export_name(name)))
#define AFTER(name) EXPORTED("cabi_post_" name)

typedef struct { uint8_t is_error; text error; } result_none_text;
typedef struct { uint8_t kind; union { uint64_t too_large; text other; }; } refusal;
typedef struct { uint8_t is_error; union { struct { const uint8_t *at; size_t length; } bytes; refusal error; }; } result_bytes;
typedef struct { uint8_t kind; union { member joined; uint32_t left; }; } change;
typedef struct { batch messages; consumers now; } question;
typedef struct { const uint32_t *at; size_t length; } slots;

_Static_assert(sizeof(column) == 16 && sizeof(batch) == 32 && sizeof(question) == 72 && sizeof(change) == 28, "layout");
_Static_assert(sizeof(requirements) == 32 && sizeof(result_none_text) == 12 && sizeof(result_bytes) == 24, "layout");

EXPORTED(LIFECYCLE "describe") requirements *glue_describe(void) {
    requirements *wants = arena(sizeof *wants, 4);
    *wants = (requirements){0};
    policy_describe(wants);
    return wants;
}
EXPORTED(LIFECYCLE "configure") result_none_text *glue_configure(const setting *settings, size_t length) {
    result_none_text *out = arena(sizeof *out, 4);
    out->error = policy_configure(settings, length);
    out->is_error = out->error.length > 0;
    return out;
}
EXPORTED(LIFECYCLE "snapshot") result_bytes *glue_snapshot(uint32_t limit) {
    result_bytes *out = arena(sizeof *out, 8);
    uint8_t *state = arena(limit, 1);
    size_t length = policy_snapshot(state, limit);
    *out = (result_bytes){0};
    out->is_error = length > limit;
    if (out->is_error) {
        out->error.kind = 1;
        out->error.too_large = length;
    } else {
        out->bytes.at = state;
        out->bytes.length = length;
    }
    return out;
}
EXPORTED(LIFECYCLE "restore") result_bytes *glue_restore(uint32_t format, const uint8_t *state, size_t length) {
    result_bytes *out = arena(sizeof *out, 8);
    *out = (result_bytes){0};
    out->is_error = !policy_restore(state, length);
    if (out->is_error) {
        static const char reason[] = "the state is damaged";
        out->error.kind = 2;
        out->error.other = (text){reason, sizeof reason - 1};
    }
    (void)format; /* One of `restores`. */
    return out;
}
EXPORTED(QUEUE_DISPATCH "members-changed") void glue_members_changed(const change *changes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (changes[i].kind == 0) policy_joined(&changes[i].joined);
        else policy_left(changes[i].left);
    }
    arena_at = 0;
}
EXPORTED(QUEUE_DISPATCH "plan") slots *glue_plan(const question *asked) {
    slots *out = arena(sizeof *out, 4);
    uint32_t *plan = arena(asked->messages.rows * sizeof *plan, 4);
    for (size_t i = 0; i < asked->messages.rows; i++) plan[i] = LEAVE;
    policy_plan(&asked->messages, &asked->now, plan);
    *out = (slots){plan, asked->messages.rows};
    return out;
}
AFTER(LIFECYCLE "describe") void after_describe(const void *out) { (void)out; arena_at = 0; }
AFTER(LIFECYCLE "configure") void after_configure(const void *out) { (void)out; arena_at = 0; }
AFTER(LIFECYCLE "snapshot") void after_snapshot(const void *out) { (void)out; arena_at = 0; }
AFTER(LIFECYCLE "restore") void after_restore(const void *out) { (void)out; arena_at = 0; }
AFTER(QUEUE_DISPATCH "plan") void after_plan(const void *out) { (void)out; arena_at = 0; }

#endif
