/* SPDX-License-Identifier: GPL-3.0-or-later
 * Object lock: the judgement over values, its application to versions, armed bypasses. Private to src/engine. */
#ifndef HOLDFS_ENGINE_LOCK_H
#define HOLDFS_ENGINE_LOCK_H

#include "engine/private.h"

/* ---- lock_judge.c: pure (retention.md §2.2-§2.4) ---- */

struct lock_state {
    enum lock_mode mode;
    int64_t until_ms;
    bool in_force; /* of the retention, by the compliance clock */
    enum hold_state hold;
};

struct lock_wanted {
    enum lock_mode mode; /* LOCK_NONE: S3's empty <Retention/> */
    int64_t until_ms;
};

enum lock_answer {
    LOCK_ALLOWED,
    LOCK_SAME,         /* allowed, and nothing changes */
    LOCK_NEEDS_BYPASS, /* an armed bypass and its permission */
    LOCK_NEVER,
};

enum lock_answer lock_change_judge(const struct lock_state *current, const struct lock_wanted *wanted);
enum lock_answer lock_delete_judge(const struct lock_state *current);
/* Is the date one that may be set when the store's date is t_ms? 0, -EINVAL (past), -ERANGE (COMPLIANCE beyond a century). */
int lock_date_judge(const struct lock_wanted *wanted, int64_t t_ms, struct reason *reason);
/* "GOVERNANCE", "COMPLIANCE", ""; and back, in any case. */
const char *lock_mode_text(enum lock_mode mode);
int lock_mode_parse(const char *text, size_t len, enum lock_mode *ret); /* -EINVAL */
/* The mount's `MODE DATE`; a length counts from t_ms. -EINVAL with words. */
int lock_retention_parse(const char *text, int64_t t_ms, struct lock_wanted *ret, struct reason *reason);
int lock_hold_parse(const char *text, bool *ret, struct reason *reason);

/* ---- lock.c ---- */

/* Changes the retention of one version as §2.3 allows it; the row is written when something changes. M, txn. */
int lock_retention_change(struct engine *e, struct caller *c, struct version *v, const struct lock_wanted *wanted, bool *ret_changed);
int lock_hold_change(struct engine *e, struct caller *c, struct version *v, bool on, bool *ret_changed); /* M, txn */

/* ---- bypass.c: armed bypasses and half-set retentions; in memory, by uid. M ---- */

enum { BYPASS_VERSION_S = 60, BYPASS_DIR_MAX_S = 600 };

int bypass_arm_version(struct engine *e, uint32_t uid, const struct version *v);
int bypass_arm_dir(struct engine *e, uint32_t uid, uint32_t bucket, struct span key, int64_t seconds);
bool bypass_armed_version(struct engine *e, uint32_t uid, const struct version *v); /* its own, or a directory's above */
bool bypass_armed_dir(struct engine *e, uint32_t uid, uint32_t bucket, struct span key);
int bypass_disarm_version(struct engine *e, uint32_t uid, const struct version *v); /* -ENODATA */
int bypass_disarm_dir(struct engine *e, uint32_t uid, uint32_t bucket, struct span key); /* -ENODATA */
/* Takes an armed bypass for one operation on the version; a directory's stays. False: none. */
bool bypass_use(struct engine *e, uint32_t uid, const struct version *v);

/* Half a retention, kept a minute for its other half. mode LOCK_NONE or until_ms < 0: that half is missing. */
int half_lock_put(struct engine *e, uint32_t uid, const struct version *v, const struct lock_wanted *half);
bool half_lock_take(struct engine *e, uint32_t uid, const struct version *v, struct lock_wanted *ret);

#endif
