/* SPDX-License-Identifier: GPL-3.0-or-later
 * Object lock through properties (retention.md §2.3-§2.7, cases 45-49, 53, 56), over a real store and a clock that the test moves. */
#include "rig.h"

#include "clock.h"
#include "engine/private.h"

#include <sys/xattr.h>

static const int64_t day_s = 86400;

static struct engine_target live(struct rig *r, const char *path)
{
    return (struct engine_target){.ino = rig_ino(r, path)};
}

/* The n-th oldest version of bkt/KEY. */
static struct engine_target nth(struct rig *r, const char *key, int n)
{
    char path[256];
    uint32_t bucket;
    uint64_t root;
    assert_int_equal(engine_bucket_find(r->e, "bkt", 3, &bucket, &root), 0);
    snprintf(path, sizeof path, "bkt/%s", key);
    return (struct engine_target){.bucket = bucket, .key = span_of(key, strlen(key)), .seq = rig_version(r, path, n)};
}

static const char *get(struct rig *r, struct engine_target t, const char *name)
{
    static char texts[4][4096];
    static unsigned at;
    struct bytes out = {0};
    char *text = texts[at++ % 4];
    int error = engine_property_get(r->e, &r->c, &t, name, &out);
    snprintf(text, sizeof texts[0], "%s", error < 0 ? strerrorname_np(-error) : bytes_text(&out));
    bytes_done(&out);
    return text;
}

static int set(struct rig *r, struct engine_target t, const char *name, const char *value)
{
    reason_clear(&r->c.reason);
    return engine_property_set(r->e, &r->c, &t, name, value, strlen(value), 0);
}

static int unset(struct rig *r, struct engine_target t, const char *name)
{
    reason_clear(&r->c.reason);
    return engine_property_remove(r->e, &r->c, &t, name);
}

static int setup(void **state)
{
    int error = rig_setup(state);
    rig_bucket(*state, "bkt", ENABLED);
    rig_bucket(*state, "free", ENABLED);
    rig_bucket_set(*state, "bkt", "bucket.object-lock", "Enabled");
    rig_write(*state, "bkt/f", "one");
    rig_settle(*state, "bkt/f");
    return error;
}

static void says(struct rig *r, const char *words)
{
    if (!strstr(r->c.reason.text, words))
        fail_msg("'%s' does not say '%s'", r->c.reason.text, words);
}

static void governance_needs_an_armed_bypass_and_yields_once(void **state)
{
    struct rig *r = *state;
    rig_write(r, "bkt/g", "one");
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +30d"), 0);
    assert_int_equal(set(r, live(r, "bkt/g"), "retention", "GOVERNANCE +30d"), 0);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    says(r, "GOVERNANCE retention until");
    assert_int_equal(unset(r, live(r, "bkt/f"), "retention"), -EPERM);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +1d"), -EPERM);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "COMPLIANCE +60d"), -EPERM);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +31d"), 0);

    assert_text(get(r, live(r, "bkt/f"), "bypass-governance-retention"), "ENODATA");
    assert_int_equal(set(r, live(r, "bkt/f"), "bypass-governance-retention", "true"), 0);
    assert_text(get(r, live(r, "bkt/f"), "bypass-governance-retention"), "true");
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +40d"), 0); /* needs none: it stays */
    assert_int_equal(rig_version_delete(r, "bkt/g", 0), -EPERM);                   /* of another version */
    assert_int_equal(unset(r, live(r, "bkt/f"), "retention"), 0);
    assert_text(get(r, live(r, "bkt/f"), "retention"), "ENODATA");
    assert_text(get(r, live(r, "bkt/f"), "bypass-governance-retention"), "ENODATA");
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +30d"), 0);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM); /* one shot */
}

static void a_bypass_runs_out_and_is_the_uids_own(void **state)
{
    struct rig *r = *state;
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +30d"), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "bypass-governance-retention", "true"), 0);
    r->c.uid++;
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    r->c.uid--;
    clock_passes(61);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    assert_int_equal(set(r, live(r, "bkt"), "bypass-governance-retention", "true"), -EINVAL);
    assert_int_equal(set(r, live(r, "bkt"), "bypass-governance-retention", "true 601"), -EINVAL);
    assert_int_equal(set(r, live(r, "bkt"), "bypass-governance-retention", "true 60"), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "bypass-governance-retention", "yes"), -EINVAL);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), 0);
    /* Who may not, cannot arm. */
    struct engine_target bucket = live(r, "bkt");
    r->c.principal.kind = PRINCIPAL_ANONYMOUS;
    assert_int_equal(set(r, bucket, "bypass-governance-retention", "true 60"), -EACCES);
    r->c.principal.kind = PRINCIPAL_ROOT;
}

static void compliance_is_never_shortened(void **state)
{
    struct rig *r = *state;
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "COMPLIANCE +30d"), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "bypass-governance-retention", "true"), 0);
    assert_int_equal(unset(r, live(r, "bkt/f"), "retention"), -EPERM);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "COMPLIANCE +29d"), -EPERM);
    says(r, "no one can shorten it");
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +60d"), -EPERM);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "COMPLIANCE +31d"), 0);
}

static void a_date_cut_to_seconds_changes_nothing(void **state)
{
    struct rig *r = *state;
    char later[64];
    snprintf(later, sizeof later, "COMPLIANCE 2030-01-01T00:00:00.700Z");
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", later), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "COMPLIANCE 2030-01-01T00:00:00Z"), 0);
    assert_text(get(r, live(r, "bkt/f"), "retention"), later);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "COMPLIANCE 2029-12-31T23:59:59.700Z"), -EPERM);
}

static void a_hold_stands_beside_retention(void **state)
{
    struct rig *r = *state;
    assert_text(get(r, live(r, "bkt/f"), "legal-hold"), "ENODATA");
    assert_int_equal(unset(r, live(r, "bkt/f"), "legal-hold"), -ENODATA);
    assert_int_equal(set(r, live(r, "bkt/f"), "legal-hold", "maybe"), -EINVAL);
    assert_int_equal(set(r, live(r, "bkt/f"), "legal-hold", "ON"), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +10s"), 0);
    clock_passes(20);
    assert_int_equal(set(r, live(r, "bkt/f"), "bypass-governance-retention", "true"), 0);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    says(r, "legal hold");
    assert_text(get(r, live(r, "bkt/f"), "object-lock-legal-hold"), "ON");
    assert_int_equal(unset(r, live(r, "bkt/f"), "legal-hold"), 0);
    assert_text(get(r, live(r, "bkt/f"), "legal-hold"), "OFF");
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), 0);
}

static void only_the_compliance_clock_ends_a_lock(void **state)
{
    struct rig *r = *state;
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "COMPLIANCE +10s"), 0);
    clock_wall_set_ahead(3650 * day_s);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    says(r, "by the store's compliance clock");
    clock_wall_set_ahead(-3651 * day_s);
    clock_passes(9);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    clock_passes(2);
    assert_text(get(r, live(r, "bkt/f"), "retention-remaining"), "0");
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), 0);
}

static void far_dates_survive_a_reopening(void **state)
{
    struct rig *r = *state;
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE 9999-12-31T23:59:59.999Z"), 0);
    rig_reopen(r);
    assert_text(get(r, live(r, "bkt/f"), "retention"), "GOVERNANCE 9999-12-31T23:59:59.999Z");
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "COMPLIANCE 2200-01-01"), -ERANGE);
}

static void two_halves_make_a_lock_in_either_order(void **state)
{
    struct rig *r = *state;
    struct bytes words = {0};
    assert_int_equal(set(r, live(r, "bkt/f"), "object-lock-mode", "GOVERNANCE"), 0);
    assert_text(get(r, live(r, "bkt/f"), "object-lock-mode"), "ENODATA");
    assert_int_equal(engine_last_error(r->e, r->c.uid, &words), 0);
    assert_non_null(strstr(bytes_text(&words), "half a retention, nothing locked yet"));
    bytes_done(&words);
    assert_int_equal(set(r, live(r, "bkt/f"), "object-lock-retain-until-date", "soon"), -EINVAL);
    assert_int_equal(set(r, live(r, "bkt/f"), "object-lock-retain-until-date", "2030-01-01T00:00:00Z"), 0);
    assert_text(get(r, live(r, "bkt/f"), "retention"), "GOVERNANCE 2030-01-01T00:00:00.000Z");
    /* with a retention there, a half changes that half */
    assert_int_equal(set(r, live(r, "bkt/f"), "object-lock-retain-until-date", "2031-01-01T00:00:00Z"), 0);
    assert_text(get(r, live(r, "bkt/f"), "object-lock-retain-until-date"), "2031-01-01T00:00:00.000Z");
    assert_int_equal(set(r, live(r, "bkt/f"), "object-lock-mode", "COMPLIANCE"), -EPERM);

    rig_write(r, "bkt/g", "one");
    assert_int_equal(set(r, live(r, "bkt/g"), "object-lock-retain-until-date", "2030-01-01T00:00:00Z"), 0);
    clock_passes(61); /* forgotten */
    assert_int_equal(set(r, live(r, "bkt/g"), "object-lock-mode", "COMPLIANCE"), 0);
    assert_text(get(r, live(r, "bkt/g"), "retention"), "ENODATA");
    assert_int_equal(set(r, live(r, "bkt/g"), "object-lock-retain-until-date", "2030-01-01T00:00:00Z"), 0);
    assert_text(get(r, live(r, "bkt/g"), "retention"), "COMPLIANCE 2030-01-01T00:00:00.000Z");
}

static void a_lock_on_an_open_draft_seals_it(void **state)
{
    struct rig *r = *state;
    struct engine_handle *h = rig_handle(r, "bkt/d", O_RDWR | O_CREAT);
    rig_fill(h, 'a', 200000, 0);
    assert_int_equal(set(r, live(r, "bkt/d"), "retention", "COMPLIANCE +30d"), 0);
    rig_put(h, "later", 0);
    rig_end(r, h);
    assert_int_equal(rig_version_delete(r, "bkt/d", 0), -EPERM);
    assert_text(get(r, nth(r, "d", 0), "is-latest"), "false");
    assert_text(get(r, live(r, "bkt/d"), "retention"), "ENODATA");
    assert_int_equal(rig_version_delete(r, "bkt/d", 1), 0);
}

static void every_name_of_a_file_is_locked_and_reading_shows_the_weakest(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_link(r, "bkt/f", "bkt/g"), 0);
    assert_int_equal(set(r, nth(r, "f", 0), "retention", "COMPLIANCE 2030-01-01"), 0);
    assert_text(get(r, nth(r, "f", 0), "retention"), "COMPLIANCE 2030-01-01T00:00:00.000Z");
    assert_text(get(r, live(r, "bkt/f"), "retention"), "ENODATA");
    /* one name's lock forbids: the other is left as it was, unlocked and waiting to settle */
    assert_text(get(r, nth(r, "g", 0), "settle"), "60");
    assert_int_equal(set(r, live(r, "bkt/g"), "retention", "COMPLIANCE 2029-01-01"), -EPERM);
    assert_text(get(r, nth(r, "g", 0), "retention"), "ENODATA");
    assert_text(get(r, nth(r, "g", 0), "settle"), "60");
    assert_int_equal(set(r, live(r, "bkt/g"), "retention", "COMPLIANCE 2031-01-01"), 0);
    assert_text(get(r, nth(r, "f", 0), "retention"), "COMPLIANCE 2031-01-01T00:00:00.000Z");
    assert_text(get(r, nth(r, "g", 0), "retention"), "COMPLIANCE 2031-01-01T00:00:00.000Z");
    assert_int_equal(set(r, nth(r, "g", 0), "retention", "COMPLIANCE 2032-01-01"), 0);
    assert_text(get(r, live(r, "bkt/g"), "retention"), "COMPLIANCE 2031-01-01T00:00:00.000Z");
}

static void a_locked_version_pins_its_attributes(void **state)
{
    struct rig *r = *state;
    uint64_t ino = rig_ino(r, "bkt/f");
    struct engine_attr v = {.uid = 12, .mode = 0600};
    assert_int_equal(engine_xattr_set(r->e, &r->c, ino, "user.x", "y", 1, 0), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "content-type", "text/plain"), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +30d"), 0);

    assert_int_equal(rig_setattr(r, "bkt/f", SET_UID, &v), -EPERM);
    assert_int_equal(rig_touch(r, "bkt/f", 1), -EPERM);
    assert_int_equal(engine_xattr_set(r->e, &r->c, ino, "user.x", "z", 1, 0), -EPERM);
    assert_int_equal(engine_xattr_remove(r->e, &r->c, ino, "user.x"), -EPERM);
    assert_int_equal(engine_xattr_set(r->e, &r->c, ino, "trusted.x", "z", 1, 0), -EPERM);
    assert_int_equal(set(r, live(r, "bkt/f"), "content-type", "text/html"), -EPERM);
    assert_int_equal(set(r, live(r, "bkt/f"), "meta.a", "b"), -EPERM);

    assert_int_equal(rig_setattr(r, "bkt/f", SET_MODE, &v), 0);
    assert_int_equal(engine_xattr_set(r->e, &r->c, ino, "security.x", "z", 1, 0), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "tagging", "a=1"), 0);
    assert_int_equal(set(r, nth(r, "f", 0), "tag.b", "2"), 0);
    assert_text(get(r, live(r, "bkt/f"), "tagging"), "a=1&b=2");
    assert_text(get(r, live(r, "bkt/f"), "content-type"), "text/plain");
    rig_write(r, "bkt/f", "two");
    assert_int_equal(set(r, live(r, "bkt/f"), "meta.a", "b"), 0);
    assert_text(get(r, nth(r, "f", 0), "meta.a"), "ENODATA");
}

static void locks_stand_where_they_can(void **state)
{
    struct rig *r = *state;
    rig_write(r, "free/f", "one");
    assert_int_equal(set(r, live(r, "free/f"), "retention", "GOVERNANCE +1d"), -EOPNOTSUPP);
    assert_text(get(r, live(r, "free/f"), "retention"), "EOPNOTSUPP");
    says(r, "Bucket is missing Object Lock Configuration");
    assert_int_equal(rig_mkdir(r, "bkt/dir"), 0);
    assert_int_equal(set(r, live(r, "bkt/dir"), "retention", "GOVERNANCE +1d"), -EISDIR);
    assert_int_equal(rig_unlink(r, "bkt/f"), 0);
    assert_int_equal(set(r, nth(r, "f", 1), "legal-hold", "ON"), -EOPNOTSUPP);
    assert_text(get(r, nth(r, "f", 1), "delete-marker"), "true");
    assert_int_equal(set(r, nth(r, "f", 0), "content-type", "x"), -EROFS);
    assert_int_equal(set(r, nth(r, "f", 0), "etag", "x"), -EPERM);
    static const char *const bad[] = {"GOVERNANCE +0d", "tomorrow", "FOO +1d", "GOVERNANCE 2001-01-01"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(set(r, nth(r, "f", 0), "retention", bad[i]), -EINVAL);
    struct engine_target version = nth(r, "f", 0);
    r->c.principal.kind = PRINCIPAL_ANONYMOUS;
    assert_int_equal(set(r, version, "retention", "GOVERNANCE +1d"), -EACCES);
    r->c.principal.kind = PRINCIPAL_ROOT;
}

static void create_and_replace_are_told_apart(void **state)
{
    struct rig *r = *state;
    struct engine_target f = live(r, "bkt/f");
    assert_int_equal(engine_property_set(r->e, &r->c, &f, "legal-hold", "ON", 2, XATTR_REPLACE), -ENODATA);
    assert_int_equal(engine_property_set(r->e, &r->c, &f, "legal-hold", "ON", 2, XATTR_CREATE), 0);
    assert_int_equal(engine_property_set(r->e, &r->c, &f, "legal-hold", "OFF", 3, XATTR_CREATE), -EEXIST);
    assert_int_equal(engine_property_set(r->e, &r->c, &f, "legal-hold", "OFF", 3, XATTR_REPLACE), 0);
}

static void a_bucket_with_lock_stays_enabled_and_locked(void **state)
{
    struct rig *r = *state;
    assert_int_equal(set(r, live(r, "bkt"), "bucket.versioning", "Suspended"), -EBUSY);
    assert_int_equal(set(r, live(r, "bkt"), "bucket.versioning", "Enabled"), 0);
    assert_int_equal(unset(r, live(r, "bkt"), "bucket.object-lock"), -EPERM);
    assert_int_equal(set(r, live(r, "bkt"), "bucket.object-lock", "COMPLIANCE 7y"), 0);
    assert_int_equal(set(r, live(r, "bkt"), "bucket.object-lock", "Enabled"), 0); /* keeps the default */
    assert_non_null(strstr(get(r, live(r, "bkt"), "bucket.object-lock"), "<Years>7</Years>"));
    assert_int_equal(set(r, live(r, "bkt"), "bucket.object-lock", "none"), 0);
    assert_null(strstr(get(r, live(r, "bkt"), "bucket.object-lock"), "Rule"));
    rig_bucket(r, "other", UNVERSIONED);
    assert_int_equal(set(r, live(r, "other"), "bucket.object-lock", "Enabled"), -EBUSY);
    assert_text(get(r, live(r, "other"), "bucket.object-lock"), "ENODATA");
    assert_int_equal(set(r, live(r, "free"), "bucket.object-lock", "none"), -EOPNOTSUPP);
    assert_int_equal(set(r, live(r, "bkt/f"), "bucket.versioning", "Enabled"), -EINVAL);
    rig_reopen(r);
    assert_non_null(strstr(get(r, live(r, "bkt"), "bucket.object-lock"), "Enabled"));
}

static void describe_holds_all_and_unknown_names_are_told(void **state)
{
    struct rig *r = *state;
    assert_int_equal(set(r, live(r, "bkt/f"), "meta.Colour", "red"), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "tagging", "k=v"), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE 2030-01-01"), 0);
    assert_int_equal(engine_xattr_set(r->e, &r->c, rig_ino(r, "bkt/f"), "security.raw", "\xff\xfe", 2, 0), 0);
    json_t *doc = json_loads(get(r, live(r, "bkt/f"), "describe"), 0, NULL);
    static const char *const pairs[][2] = {{"type", "file"}, {"bucket", "bkt"}, {"key", "f"}, {"meta.colour", "red"}, {"tag.k", "v"},
                                           {"tagging", "k=v"}, {"retention", "GOVERNANCE 2030-01-01T00:00:00.000Z"},
                                           {"server-side-encryption", "AES256"}, {"is-latest", "true"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *value = json_string_value(json_object_get(doc, pairs[i][0]));
        if (!value || strcmp(value, pairs[i][1]) != 0)
            fail_msg("%s is %s", pairs[i][0], value);
    }
    assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "xattrs"), "security.raw")), "base64://4=");
    assert_int_equal(json_integer_value(json_object_get(doc, "size")), 3);
    json_decref(doc);
    assert_int_equal(set(r, live(r, "bkt/f"), "retentoin", "x"), -EINVAL);
    says(r, "retention");
    assert_text(get(r, live(r, "bkt/f"), "retentoin"), "ENODATA");
    assert_int_equal(unset(r, live(r, "bkt/f"), "retentoin"), -ENODATA);
}

static void lists_hold_what_a_copy_should_carry(void **state)
{
    struct rig *r = *state;
    struct bytes names = {0};
    assert_int_equal(set(r, live(r, "bkt/f"), "meta.a", "1"), 0);
    assert_int_equal(set(r, live(r, "bkt/f"), "legal-hold", "ON"), 0);
    assert_int_equal(engine_xattr_list(r->e, &r->c, rig_ino(r, "bkt/f"), false, &names), 0);
    static const char copyable[] = "user.s3.meta.a";
    assert_int_equal(names.len, sizeof copyable);
    assert_memory_equal(names.data, copyable, sizeof copyable);
    bytes_clear(&names);
    assert_int_equal(engine_xattr_list(r->e, &r->c, rig_ino(r, "bkt/f"), true, &names), 0);
    assert_non_null(memmem(names.data, names.len, "user.s3.legal-hold", 19));
    assert_non_null(memmem(names.data, names.len, "user.s3.version-id", 19));
    bytes_done(&names);
}

static void ordinary_attributes_have_their_limits(void **state)
{
    struct rig *r = *state;
    static char big[65537];
    struct bytes out = {0};
    uint64_t ino = rig_ino(r, "bkt/f");
    assert_int_equal(engine_xattr_set(r->e, &r->c, ino, "user.big", big, 65537, 0), -E2BIG);
    char name[32];
    int error = 0;
    for (int n = 0; n < 20 && error == 0; n++) {
        snprintf(name, sizeof name, "user.big%d", n);
        error = engine_xattr_set(r->e, &r->c, ino, name, big, 65536, 0);
        assert_true(error == 0 || n == 15);
    }
    assert_int_equal(error, -ENOSPC);
    assert_int_equal(engine_xattr_set(r->e, &r->c, ino, "user.big0", "x", 1, XATTR_CREATE), -EEXIST);
    assert_int_equal(engine_xattr_set(r->e, &r->c, ino, "user.none", "x", 1, XATTR_REPLACE), -ENODATA);
    assert_int_equal(engine_xattr_set(r->e, &r->c, ino, "system.other", "x", 1, 0), -EOPNOTSUPP);
    assert_int_equal(engine_xattr_get(r->e, &r->c, ino, "user.big3", &out), 0);
    assert_int_equal(out.len, 65536);
    rig_reopen(r);
    bytes_clear(&out);
    assert_int_equal(engine_xattr_get(r->e, &r->c, rig_ino(r, "bkt/f"), "user.big3", &out), 0);
    assert_int_equal(out.len, 65536);
    assert_int_equal(engine_xattr_remove(r->e, &r->c, rig_ino(r, "bkt/f"), "user.big3"), 0);
    bytes_done(&out);
}

static void the_clock_shows_lag_and_locks(void **state)
{
    struct rig *r = *state;
    json_t *doc;
    assert_int_equal(set(r, live(r, "bkt/f"), "retention", "GOVERNANCE +1d"), 0);
    clock_wall_set_ahead(7200);
    assert_int_equal(engine_clock_show(r->e, &doc), 0);
    assert_int_equal(json_integer_value(json_object_get(doc, "lag_s")), 7200);
    assert_int_equal(json_integer_value(json_object_get(doc, "locks_in_force")), 1);
    assert_string_equal(json_string_value(json_object_get(doc, "kind")), "strict");
    json_decref(doc);
    clock_wall_set_ahead(-7200);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(governance_needs_an_armed_bypass_and_yields_once),
        TEST(a_bypass_runs_out_and_is_the_uids_own),
        TEST(compliance_is_never_shortened),
        TEST(a_date_cut_to_seconds_changes_nothing),
        TEST(a_hold_stands_beside_retention),
        TEST(only_the_compliance_clock_ends_a_lock),
        TEST(far_dates_survive_a_reopening),
        TEST(two_halves_make_a_lock_in_either_order),
        TEST(a_lock_on_an_open_draft_seals_it),
        TEST(every_name_of_a_file_is_locked_and_reading_shows_the_weakest),
        TEST(a_locked_version_pins_its_attributes),
        TEST(locks_stand_where_they_can),
        TEST(create_and_replace_are_told_apart),
        TEST(a_bucket_with_lock_stays_enabled_and_locked),
        TEST(describe_holds_all_and_unknown_names_are_told),
        TEST(lists_hold_what_a_copy_should_carry),
        TEST(ordinary_attributes_have_their_limits),
        TEST(the_clock_shows_lag_and_locks),
    };
    if (!clock_start())
        return 77;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clock_stop();
    return failed;
}
