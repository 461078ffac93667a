/* SPDX-License-Identifier: GPL-3.0-or-later
 * Operations on one object or a tree of them: its history, its properties, its locks, its return to an
 * earlier state. */
#include "cmd/operation.h"
#include "util/cleanup.h"
#include "util/timeform.h"

#include <errno.h>
#include <string.h>

enum { VERSIONS_AT_ONCE = 256, RESTORE_PATHS_MAX = 4096 };

/* ---- versions ---- */

struct versions_answer {
    json_t *list;
    uint64_t last_seq;
    unsigned count;
};

static json_t *version_json(const struct engine_version *v)
{
    static const char *const modes[] = {NULL, "GOVERNANCE", "COMPLIANCE"};
    char published[48], until[40];
    timeform_format_ns(v->publish_ns / 1000000000, (uint32_t)(v->publish_ns % 1000000000), published);
    timeform_format_ms(v->lock_until_ms, until);
    const char *mode = v->lock_mode < 3 ? modes[v->lock_mode] : NULL;
    return json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:s*, s:s*, s:b, s:s, s:s}", "version_id", v->id, "name",
                     v->name, "published", published, "size_bytes", (json_int_t)v->attr.size_bytes, "latest",
                     v->latest, "delete_marker", (v->flags & VERSION_MARKER) != 0, "lock_mode", mode,
                     "retain_until", mode ? until : NULL, "legal_hold", v->legal_hold == 2, "etag", v->etag,
                     "made_by", v->made_by);
}

static int versions_collect(void *arg, const struct engine_version *v)
{
    struct versions_answer *answer = arg;
    json_array_append_new(answer->list, version_json(v));
    answer->last_seq = v->seq;
    answer->count++;
    return 0;
}

static int versions_of_key(struct operation_call *call, const struct engine_place *place, json_t *list)
{
    struct versions_answer answer = {.list = list};
    do {
        answer.count = 0;
        int r = engine_versions(call->engine, call->caller, place, false, answer.last_seq, VERSIONS_AT_ONCE,
                                versions_collect, &answer);
        if (r < 0)
            return r;
        r = call->progress.fn(call->progress.arg, "versions", json_array_size(list), 0);
        if (r != 0)
            return -ECANCELED;
    } while (answer.count == VERSIONS_AT_ONCE);
    return 0;
}

struct names_answer {
    json_t *list;
    struct bytes last;
    unsigned count;
};

static int names_collect(void *arg, const struct engine_history_name *n)
{
    struct names_answer *answer = arg;
    json_t *name = json_stringn(n->name, n->name_len);
    json_array_append_new(
        answer->list, json_pack("{s:o, s:b, s:b}", "name", name, "versions", n->is_key, "below", n->is_dir));
    bytes_clear(&answer->last);
    bytes_put(&answer->last, n->name, n->name_len);
    answer->count++;
    return 0;
}

static int names_below(struct operation_call *call, const struct engine_place *place, json_t *list)
{
    CLEANUP(bytes_done) struct bytes last = {0};
    struct names_answer answer = {.list = list};
    int r;
    do {
        bytes_clear(&last);
        bytes_put(&last, answer.last.data, answer.last.len);
        answer.count = 0;
        r = engine_history_names(call->engine, call->caller, place, (const char *)last.data, last.len,
                                 VERSIONS_AT_ONCE, names_collect, &answer);
        if (r >= 0 && call->progress.fn(call->progress.arg, "names", json_array_size(list), 0) != 0)
            r = -ECANCELED;
    } while (r >= 0 && answer.count == VERSIONS_AT_ONCE);
    bytes_done(&answer.last);
    return r < 0 ? r : 0;
}

/* {"versions":[newest first]} of a key, and {"names":[...]} of what has history below it. */
int operation_versions(struct operation_call *call)
{
    struct operation_path p;
    int r = operation_path(call, &p);
    if (r < 0)
        return r;
    struct engine_place place = operation_place(&p);
    json_t *versions = json_array(), *names = json_array();
    if (*p.key)
        r = versions_of_key(call, &place, versions);
    if (r == 0 || r == -ENOENT)
        r = names_below(call, &place, names);
    if (r == -ENOENT && json_array_size(versions) > 0)
        r = 0;
    if (r == 0 && *p.key && json_array_size(versions) == 0 && json_array_size(names) == 0)
        r = reason_fail(&call->caller->reason, ENOENT,
                        "%s/%s has no history: nothing of that name was ever closed here", p.bucket, p.key);
    call->result = json_pack("{s:o, s:o}", "versions", versions, "names", names);
    if (r < 0) {
        json_decref(call->result);
        call->result = NULL;
    }
    return r;
}

/* ---- what is known ---- */

int operation_stat(struct operation_call *call)
{
    struct operation_path p;
    struct engine_target target;
    CLEANUP(bytes_done) struct bytes text = {0};
    int r = operation_path(call, &p);
    if (r == 0)
        r = operation_target(call, &p, &target);
    if (r == 0)
        r = engine_property_get(call->engine, call->caller, &target, "describe", &text);
    if (r < 0)
        return r;
    call->result = json_loadb((const char *)text.data, text.len, 0, NULL);
    return call->result ? 0 : -EIO;
}

int operation_du(struct operation_call *call)
{
    struct operation_path p;
    int r = operation_path(call, &p);
    if (r < 0)
        return r;
    struct engine_place place = operation_place(&p);
    return engine_du(call->engine, call->caller, &place, &call->result);
}

int operation_debug_object(struct operation_call *call)
{
    struct operation_path p;
    int r = operation_path(call, &p);
    if (r < 0)
        return r;
    struct engine_place place = operation_place(&p);
    return engine_debug_object(call->engine, call->caller, &place, &call->result);
}

/* ---- restore ---- */

struct restore_places {
    struct operation_path *paths; /* the places' keys point into it */
    struct engine_place *places;
    const struct engine_place **list;
    size_t count;
};

static void restore_places_done(struct restore_places *p)
{
    free(p->paths);
    free(p->places);
    free(p->list);
}

static int restore_places_read(struct operation_call *call, struct restore_places *ret)
{
    json_t *paths = json_object_get(call->args, "paths");
    ret->count = json_array_size(paths);
    if (ret->count == 0 || ret->count > RESTORE_PATHS_MAX)
        return reason_fail(&call->caller->reason, EINVAL, "restore takes 1 to %d paths", RESTORE_PATHS_MAX);
    ret->paths = calloc(ret->count, sizeof *ret->paths);
    ret->places = calloc(ret->count, sizeof *ret->places);
    ret->list = calloc(ret->count, sizeof *ret->list);
    if (!ret->paths || !ret->places || !ret->list)
        return -ENOMEM;
    for (size_t i = 0; i < ret->count; i++) {
        const char *path = json_string_value(json_array_get(paths, i));
        int r = operation_path_read(call, path ? path : "", &ret->paths[i]);
        if (r < 0)
            return r;
        ret->places[i] = operation_place(&ret->paths[i]);
        ret->list[i] = &ret->places[i];
    }
    return 0;
}

int operation_restore(struct operation_call *call)
{
    CLEANUP(restore_places_done) struct restore_places places = {0};
    json_int_t sec = 0, nsec = 0;
    int r = restore_places_read(call, &places);
    if (r < 0)
        return r;
    if (json_unpack((json_t *)call->args, "{s:[I,I]}", "at", &sec, &nsec) < 0 || nsec < 0 || nsec > 999999999)
        return reason_fail(&call->caller->reason, EINVAL,
                           "restore needs a time to go back to: \"at\":[seconds,nanoseconds]");
    struct engine_restore_params params = {
        .at = {sec, (uint32_t)nsec},
        .dry_run = operation_flag(call, "dry_run"),
        .delete_newer = operation_flag(call, "delete_newer"),
        .only_deletes = operation_flag(call, "only_deletes"),
        .by = operation_text(call, "by"),
    };
    return engine_restore(call->engine, call->caller, places.list, places.count, &params, call->progress,
                          &call->result);
}

/* ---- locks ---- */

static int object_property_set(struct operation_call *call, const char *name, const char *value)
{
    struct operation_path p;
    struct engine_target target;
    int r = operation_path(call, &p);
    if (r == 0)
        r = operation_target(call, &p, &target);
    if (r < 0)
        return r;
    if (!value)
        return engine_property_remove(call->engine, call->caller, &target, name);
    return engine_property_set(call->engine, call->caller, &target, name, value, strlen(value), 0);
}

/* args "value": "COMPLIANCE 2027-01-01"; without it the retention is removed. "bypass" arms the bypass for
 * this once. */
int operation_retention_set(struct operation_call *call)
{
    int r = 0;
    if (operation_flag(call, "bypass"))
        r = object_property_set(call, "bypass-governance-retention", "true");
    return r < 0 ? r : object_property_set(call, "retention", operation_text(call, "value"));
}

int operation_retention_bypass(struct operation_call *call)
{
    const char *value = operation_text(call, "value");
    return object_property_set(call, "bypass-governance-retention", value ? value : "true");
}

int operation_legal_hold(struct operation_call *call)
{
    return object_property_set(call, "legal-hold", operation_flag(call, "on") ? "ON" : "OFF");
}
