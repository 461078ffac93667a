/* SPDX-License-Identifier: GPL-3.0-or-later
 * The `attested` retention clock's rounds: asks the pinned time authorities at open and daily, and raises C
 * by what enough of them sign (retention.md §3). What an answer must be is compliance_token.c's.
 *
 * The first round is asked by who opens the store, in a short time; later ones by a thread of their own,
 * which the worker wakes. Nothing is fetched or verified under engine.meta. A round that fails advances
 * nothing, and is asked again soon.
 *
 * Metadata values: "tsa.authorities" (as pinned at init), "tsa.state", "tsa.last" (the answers of the last
 * agreement), "tsa.round.N" (the answers of the start, and of each round that raised C by a minute or more:
 * they prove what opened locks). */
#include "engine/compliance.h"
#include "engine/trail.h"
#include "engine/compliance_tsa.h"
#include "engine/private.h"
#include "util/http_post.h"

#include <assert.h>
#include <stdio.h>

enum {
    ROUND_FORMAT = 1,
    OPEN_TIMEOUT_MS = 3000, /* a mount waits no longer */
    INIT_TIMEOUT_MS = 10000,
    LATER_TIMEOUT_MS = 20000,
    EVERY_S = 86400,
    AGAIN_FIRST_S = 60, /* after a failure, doubled up to: */
    AGAIN_MOST_S = 3600,
    KEEP_RISE_S = 60,
    NS_PER_S = 1000000000,
};

struct result {
    bool valid, agrees;
    int64_t time_s; /* when valid */
    char error[160];
};

struct tsa {
    struct tsa_authorities authorities;            /* fixed */
    struct tsa_state state;                        /* M */
    struct result results[LIMIT_TIME_AUTHORITIES]; /* M: of the last round */
    int64_t checked_s;   /* M: when that ended by the machine's date; 0: none since the store was opened */
    size_t agreed;       /* M: in it */
    unsigned again_s;    /* M: after the next failure */
    int64_t due_mono_ns; /* M: when the next is due; INT64_MAX while one is on its way */

    pthread_t thread;
    bool running;         /* fixed after start */
    pthread_mutex_t lock; /* leaf */
    pthread_cond_t wake;
    bool wanted; /* under lock */
    atomic_bool stop;
};

/* One round: questions, answers, and what they are worth. */
struct round {
    size_t count;
    TS_REQ *requests[LIMIT_TIME_AUTHORITIES];
    struct bytes bodies[LIMIT_TIME_AUTHORITIES];
    struct http_post posts[LIMIT_TIME_AUTHORITIES];
    struct result results[LIMIT_TIME_AUTHORITIES];
    struct tsa_agreement agreement;
    int64_t asked_at_c_s;
};

static void round_done(struct round *q)
{
    for (size_t n = 0; n < q->count; n++) {
        TS_REQ_free(q->requests[n]);
        bytes_done(&q->bodies[n]);
        bytes_done(&q->posts[n].answer);
    }
}

static int round_new(const struct tsa *t, struct round *q)
{
    *q = (struct round){.count = t->authorities.count};
    int r = 0;
    for (size_t n = 0; r == 0 && n < q->count; n++) {
        r = tsa_request_new(&q->requests[n], &q->bodies[n]);
        q->posts[n] = (struct http_post){
            .url = t->authorities.list[n].url,
            .content_type = "application/timestamp-query",
            .body = q->bodies[n].data,
            .body_len = q->bodies[n].len,
            .answer_max_bytes = LIMIT_TIME_ANSWER_BYTES,
        };
    }
    return r;
}

static void round_judge(const struct tsa *t, struct round *q)
{
    int64_t times[LIMIT_TIME_AUTHORITIES];
    size_t valid = 0;
    for (size_t n = 0; n < q->count; n++) {
        const struct http_post *p = &q->posts[n];
        struct result *result = &q->results[n];
        if (p->error[0])
            snprintf(result->error, sizeof result->error, "%s", p->error);
        else
            result->valid = tsa_answer_verify(&t->authorities.list[n], q->requests[n], p->answer.data,
                                              p->answer.len, &result->time_s, result->error) == 0;
        if (result->valid)
            times[valid++] = result->time_s;
    }
    q->agreement = tsa_agree(times, valid);
    for (size_t n = 0; n < q->count; n++) {
        struct result *result = &q->results[n];
        result->agrees = result->valid && q->agreement.count >= tsa_needed(&t->authorities) &&
                         result->time_s >= q->agreement.low_s && result->time_s <= q->agreement.high_s;
        if (result->valid && !result->agrees)
            snprintf(result->error, sizeof result->error, "not enough others agree with it");
    }
}

/* ---- what is written down ---- */

static int value_put(struct engine *e, const char *name, struct bytes *packed)
{
    int r = packed->failed ? -ENOMEM : e->meta_ops->value_put(e->m, name, span_of(packed->data, packed->len));
    bytes_done(packed);
    return r;
}

static int answers_put(struct engine *e, const char *name, const struct round *q, int64_t c_s)
{
    struct bytes packed = {0};
    bytes_put_u8(&packed, ROUND_FORMAT);
    bytes_put_u64(&packed, (uint64_t)q->asked_at_c_s);
    bytes_put_u64(&packed, (uint64_t)c_s);
    bytes_put_varint(&packed, q->agreement.count);
    for (size_t n = 0; n < q->count; n++) {
        if (!q->results[n].agrees)
            continue;
        bytes_put_varint(&packed, n);
        bytes_put_blob(&packed, q->posts[n].answer.data, q->posts[n].answer.len);
    }
    return value_put(e, name, &packed);
}

static int state_put(struct engine *e, const struct tsa_state *s)
{
    struct bytes packed = {0};
    tsa_state_encode(s, &packed);
    return value_put(e, "tsa.state", &packed);
}

/* An agreement into the clock. M. */
static int agreement_take(struct engine *e, const struct round *q)
{
    struct tsa *t = e->tsa;
    struct tsa_state next = t->state;
    int64_t proven_s = tsa_state_advance(&next, &q->agreement, q->asked_at_c_s);
    int64_t before_s = compliance_now_s(e);
    bool keep = !t->state.started || proven_s - before_s >= KEEP_RISE_S;
    compliance_raise(e, proven_s);
    next.kept += keep;
    char name[40];
    snprintf(name, sizeof name, "tsa.round.%llu", (unsigned long long)next.kept);
    int r = txn_begin(e);
    if (r == 0) {
        r = state_put(e, &next);
        if (r == 0)
            r = answers_put(e, "tsa.last", q, compliance_now_s(e));
        if (r == 0 && keep)
            r = answers_put(e, name, q, compliance_now_s(e));
        if (r == 0 && keep)
            r = trail_note(e, NULL, &(struct trail_event){.name = "ClockRaised", .source = TRAIL_HOLDFS, .flags = TRAIL_SERVICE,
                                                          .params = json_pack("{s:I, s:I}", "attestedSeconds", (json_int_t)proven_s, "authorities",
                                                                              (json_int_t)q->agreement.count),
                                                          .previous = json_pack("{s:I}", "seconds", (json_int_t)before_s)});
        r = txn_end(e, r < 0 ? r : compliance_save(e));
    }
    if (r < 0)
        return r;
    t->state = next;
    if (proven_s - before_s >= KEEP_RISE_S)
        log_notice("the compliance clock rose by %lld s, which %zu time authorities attest",
                   (long long)(proven_s - before_s), q->agreement.count);
    return 0;
}

static void date_compare(const struct round *q)
{
    int64_t wall_s = clock_wall_ns() / NS_PER_S;
    if (wall_s < q->agreement.low_s - TSA_AGREE_S || wall_s > q->agreement.high_s + TSA_AGREE_S)
        log_warning("the machine's date is %lld s off what the time authorities attest; the store is dated "
                    "by the machine's",
                    (long long)(wall_s - q->agreement.low_s));
}

static void failures_log(const struct tsa *t, const struct round *q)
{
    log_warning("%zu of %zu time authorities agree, %zu must: the compliance clock counts only while this "
                "machine runs",
                q->agreement.count, q->count, tsa_needed(&t->authorities));
    for (size_t n = 0; n < q->count; n++)
        if (!q->results[n].agrees)
            log_warning("time authority %s: %s", t->authorities.list[n].url, q->results[n].error);
}

/* The next round, after one that was worth that much. M. */
static void round_plan(struct tsa *t, bool well)
{
    int64_t wait_s = well ? EVERY_S : t->again_s;
    if (well)
        t->again_s = AGAIN_FIRST_S;
    else
        t->again_s = t->again_s < AGAIN_MOST_S / 2 ? t->again_s * 2 : AGAIN_MOST_S;
    t->due_mono_ns = clock_mono_ns() + wait_s * NS_PER_S;
}

/* M */
static void round_take(struct engine *e, const struct round *q)
{
    struct tsa *t = e->tsa;
    bool enough = q->agreement.count >= tsa_needed(&t->authorities);
    if (enough && !t->state.started)
        date_compare(q);
    if (!enough && (t->agreed >= tsa_needed(&t->authorities) || !t->checked_s))
        failures_log(t, q);
    int r = enough ? agreement_take(e, q) : 0;
    if (r < 0)
        log_warning("the attested time could not be written down: %s", strerror(-r));
    memcpy(t->results, q->results, sizeof t->results);
    t->agreed = q->agreement.count;
    t->checked_s = clock_wall_ns() / NS_PER_S;
    round_plan(t, enough && r == 0);
}

static void round_ask(struct engine *e, unsigned timeout_ms)
{
    struct tsa *t = e->tsa;
    struct round q;
    int r = round_new(t, &q);
    {
        LOCK_SCOPE(&e->meta);
        q.asked_at_c_s = compliance_now_s(e);
    }
    if (r == 0) {
        http_post_all(q.posts, q.count, timeout_ms, &t->stop);
        round_judge(t, &q);
    }
    if (!atomic_load(&t->stop)) {
        LOCK_SCOPE(&e->meta);
        if (r == 0)
            round_take(e, &q);
        else
            round_plan(t, false);
    }
    round_done(&q);
}

/* ---- open, run, close ---- */

int tsa_init_values(struct engine *e, const struct tsa_authorities *a)
{
    struct bytes packed = {0};
    tsa_authorities_encode(a, &packed);
    int r = value_put(e, "tsa.authorities", &packed);
    return r < 0 ? r : state_put(e, &(struct tsa_state){0});
}

static int tsa_load(struct engine *e, struct tsa *t)
{
    struct span value;
    int r = e->meta_ops->value_get(e->m, "tsa.authorities", &value);
    if (r == 0)
        r = tsa_authorities_decode(value.p, value.len, &t->authorities);
    if (r == 0)
        r = e->meta_ops->value_get(e->m, "tsa.state", &value);
    if (r == 0)
        r = tsa_state_decode(value.p, value.len, &t->state);
    return r;
}

int tsa_open(struct engine *e, struct reason *reason)
{
    if (strcmp(e->conf.retention_clock, "attested") != 0)
        return 0;
    struct tsa *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    t->again_s = AGAIN_FIRST_S;
    e->tsa = t;
    int r = tsa_load(e, t);
    if (r == -ENOENT || r == -EBADMSG)
        return reason_fail(
            reason, EIO, "the store's pinned time authorities are missing or damaged; put back the metadata");
    return r;
}

void tsa_ask_at_init(struct engine *e)
{
    if (e->tsa)
        round_ask(e, INIT_TIMEOUT_MS);
}

static void *tsa_main(void *arg)
{
    struct engine *e = arg;
    struct tsa *t = e->tsa;
    for (;;) {
        {
            LOCK_SCOPE(&t->lock);
            while (!t->wanted && !atomic_load(&t->stop))
                pthread_cond_wait(&t->wake, &t->lock);
            t->wanted = false;
        }
        if (atomic_load(&t->stop))
            return NULL;
        round_ask(e, LATER_TIMEOUT_MS);
    }
}

int tsa_start(struct engine *e)
{
    struct tsa *t = e->tsa;
    if (!t || e->read_only)
        return 0;
    round_ask(e, OPEN_TIMEOUT_MS);
    {
        LOCK_SCOPE(&e->meta);
        if (t->agreed < tsa_needed(&t->authorities))
            t->due_mono_ns = 0; /* they may just be slow */
    }
    int r = pthread_create(&t->thread, NULL, tsa_main, e);
    t->running = r == 0;
    return -r;
}

void tsa_run(struct engine *e)
{
    struct tsa *t = e->tsa;
    if (!t || !t->running)
        return;
    {
        LOCK_SCOPE(&e->meta);
        if (clock_mono_ns() < t->due_mono_ns)
            return;
        t->due_mono_ns = INT64_MAX;
    }
    LOCK_SCOPE(&t->lock);
    t->wanted = true;
    pthread_cond_signal(&t->wake);
}

void tsa_stop(struct engine *e)
{
    struct tsa *t = e->tsa;
    if (!t || !t->running)
        return;
    {
        LOCK_SCOPE(&t->lock);
        atomic_store(&t->stop, true);
        pthread_cond_signal(&t->wake);
    }
    pthread_join(t->thread, NULL);
    t->running = false;
}

void tsa_close(struct engine *e)
{
    struct tsa *t = e->tsa;
    if (!t)
        return;
    assert(!t->running);
    tsa_authorities_done(&t->authorities);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->wake);
    free(t);
    e->tsa = NULL;
}

/* ---- what clock show says ---- */

static int set_time(json_t *out, const char *name, int64_t s)
{
    char text[40] = "";
    if (s)
        timeform_format_ms(s * 1000, text);
    return json_object_set_new(out, name, json_string(text));
}

static json_t *authority_show(const struct tsa *t, size_t n)
{
    const struct result *result = &t->results[n];
    char name[200];
    tsa_authority_name(&t->authorities.list[n], name, sizeof name);
    json_t *out = json_pack("{s:s}", "url", t->authorities.list[n].url);
    if (out && t->checked_s) {
        set_time(out, "attested", result->valid ? result->time_s : 0);
        json_object_set_new(out, "agrees", json_boolean(result->agrees));
        json_object_set_new(out, "error", json_string(result->error));
    }
    json_object_set_new(out, "certificate", json_string(name));
    return out;
}

int tsa_show(struct engine *e, json_t *out)
{
    const struct tsa *t = e->tsa;
    if (!t)
        return 0;
    json_t *shown = json_pack("{s:I}", "needed", (json_int_t)tsa_needed(&t->authorities));
    json_t *list = json_array();
    if (shown && t->checked_s) {
        json_object_set_new(shown, "agreed", json_integer((json_int_t)t->agreed));
        set_time(shown, "checked", t->checked_s);
    }
    if (t->state.started) {
        set_time(shown, "start", t->state.start_attested_s);
        set_time(shown, "last", t->state.last_s);
    }
    for (size_t n = 0; n < t->authorities.count; n++)
        json_array_append_new(list, authority_show(t, n));
    json_object_set_new(shown, "authorities", list);
    return json_object_set_new(out, "attested", shown) < 0 ? -ENOMEM : 0;
}
