/* SPDX-License-Identifier: GPL-3.0-or-later
 * Walking a chain and saying the first thing that is wrong with it. What follows the first bad record is looked at only to tell what
 * happened to it: a number that comes later was moved, one that comes twice had something put beside it. */
#include "audit/audit.h"

#include <errno.h>
#include <string.h>

const char *audit_fault_text(enum audit_fault fault)
{
    static const char *const texts[] = {
        [AUDIT_SOUND] = "sound", [AUDIT_CHANGED] = "changed", [AUDIT_MISSING] = "missing",   [AUDIT_INSERTED] = "inserted",
        [AUDIT_MOVED] = "moved", [AUDIT_TAIL_CUT] = "tail cut", [AUDIT_BAD_HEAD] = "a head whose signature does not fit",
    };
    return texts[fault];
}

int audit_verify_begin(struct audit_verifier *v, const char *chain, const struct audit_place *from)
{
    memset(v, 0, sizeof *v);
    if (strlen(chain) > AUDIT_CHAIN_CHARS)
        return -EINVAL;
    memcpy(v->chain, chain, strlen(chain) + 1);
    if (from)
        v->place = *from;
    else if (audit_genesis(chain, &v->place) < 0)
        return -ENOMEM;
    v->first = v->place.seq + 1;
    return 0;
}

void audit_verify_fail(struct audit_verifier *v, enum audit_fault fault, uint64_t seq)
{
    if (v->fault != AUDIT_SOUND && v->bad_seq <= seq)
        return;
    v->fault = fault;
    v->bad_seq = seq;
}

/* After the first bad one: does its number come (again)? */
static void look_on(struct audit_verifier *v, uint64_t seq)
{
    if (seq != v->bad_seq)
        return;
    if (v->fault == AUDIT_MISSING)
        v->fault = AUDIT_MOVED;
    else if (v->fault == AUDIT_CHANGED)
        v->fault = AUDIT_INSERTED;
}

int audit_verify_record(struct audit_verifier *v, const struct audit_place *claimed, const uint8_t *prev, const void *text, size_t len)
{
    v->records++;
    if (v->fault != AUDIT_SOUND) {
        look_on(v, claimed->seq);
        return 0;
    }
    uint64_t expected = v->place.seq + 1;
    if (claimed->seq != expected) {
        if (claimed->seq > expected)
            audit_verify_fail(v, AUDIT_MISSING, expected);
        else
            audit_verify_fail(v, AUDIT_INSERTED, claimed->seq);
        return 0;
    }
    struct audit_place place;
    int r = audit_link(&v->place, text, len, &place);
    if (r < 0)
        return r;
    if (memcmp(place.hash, claimed->hash, AUDIT_HASH_BYTES) != 0 || (prev && memcmp(prev, v->place.hash, AUDIT_HASH_BYTES) != 0))
        audit_verify_fail(v, AUDIT_CHANGED, expected);
    else
        v->place = place;
    return 0;
}

void audit_verify_place(struct audit_verifier *v, const struct audit_place *told, const uint8_t *here)
{
    if (told->seq + 1 < v->first)
        return; /* before what is kept */
    if (!here) {
        uint64_t last = v->place.seq;
        if (told->seq > last && v->fault == AUDIT_SOUND)
            audit_verify_fail(v, AUDIT_TAIL_CUT, last + 1);
        return;
    }
    if (memcmp(told->hash, here, AUDIT_HASH_BYTES) != 0)
        audit_verify_fail(v, AUDIT_CHANGED, told->seq);
}
