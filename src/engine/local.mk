# sources of src/engine
libholdfs_a_SOURCES += \
	src/engine/compliance.h src/engine/compliance.c src/engine/compliance_state.c \
	src/engine/compliance_tsa.h src/engine/compliance_tsa.c src/engine/compliance_token.c \
	src/engine/settle.h src/engine/settle.c src/engine/settle_queue.c \
	src/engine/lock.h src/engine/lock.c src/engine/lock_judge.c src/engine/bypass.c src/engine/seal.c \
	src/engine/bucket_config.h src/engine/bucket_config.c src/engine/tagset.h src/engine/tagset.c \
	src/engine/property.h src/engine/property.c src/engine/property_table.c src/engine/property_target.c \
	src/engine/property_facts.c src/engine/property_meta.c src/engine/property_lock.c \
	src/engine/property_bucket.c src/engine/property_mfa.c src/engine/property_policy.c src/engine/property_values.c src/engine/property_describe.c \
	src/engine/xattr.c src/engine/acl.h src/engine/acl.c

libholdfs_a_SOURCES += \
	src/engine/engine.h src/engine/private.h src/engine/record.h \
	src/engine/attrs.c src/engine/record.c src/engine/envelope.c src/engine/errors.c \
	src/engine/walk.c src/engine/walk.h \
	src/engine/history.c src/engine/at.c src/engine/restore.c \
	src/engine/status.c src/engine/du.c src/engine/spans.h src/engine/spans.c \
	src/engine/upkeep.h src/engine/gc.c src/engine/cycle.h src/engine/cycle.c src/engine/compact.c src/engine/fsck.c src/engine/scrub.c src/engine/backup.c src/engine/checkpoint.c src/engine/rebuild.h src/engine/rebuild.c src/engine/rebuild_hunt.c \
	src/engine/pax.h src/engine/pax.c src/engine/export.c src/engine/import.c

libholdfs_a_SOURCES += \
	src/engine/engine.c src/engine/anchor.c src/engine/recover.c src/engine/store.c src/engine/txn.c src/engine/bucket.c src/engine/bucket_delete.c src/engine/lock_search.c src/engine/keyring.c src/engine/epoch.c src/engine/rewrap.c src/engine/rekey.h src/engine/rekey.c src/engine/rekey_frames.c src/engine/rotate.c \
	src/engine/may.c src/engine/iam.h src/engine/iam.c src/engine/iam_rows.c src/engine/iam_account.c src/engine/iam_user.c \
	src/engine/iam_policy.c src/engine/iam_key.c src/engine/mfa.h src/engine/mfa.c src/engine/mfa_window.c \
	src/engine/trail.h src/engine/trail.c src/engine/trail_fold.c src/engine/trail_head.c src/engine/trail_pack.c src/engine/trail_read.c src/engine/trail_anchor.c src/engine/trail_pending.c \
	src/engine/inode.c src/engine/tree.c src/engine/gone.c src/engine/unlink.c src/engine/rename.c src/engine/version.c src/engine/naming.c \
	src/engine/by_key.h src/engine/object.h src/engine/object.c src/engine/object_conditions.c src/engine/object_put.c \
	src/engine/ownership.c src/engine/object_delete.c src/engine/object_copy.c src/engine/object_list.c \
	src/engine/multipart.h src/engine/multipart.c src/engine/multipart_complete.c src/engine/multipart_list.c \
	src/engine/draft.h src/engine/draft.c src/engine/draft_save.c src/engine/publish.c src/engine/io.c src/engine/io_range.c src/engine/setattr.c

libholdfs_a_SOURCES += \
	src/engine/kms.h src/engine/kms.c src/engine/kms_rows.c src/engine/kms_keys.c src/engine/kms_verbs.c src/engine/kms_usage.c src/engine/kms_destroy.c src/engine/kms_rewrap.c \
	src/engine/sse.c src/engine/sse_c.h src/engine/sse_c.c
