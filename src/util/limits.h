/* SPDX-License-Identifier: GPL-3.0-or-later
 * Every limit in one place, with its unit and its reason. A limit that follows from another is asserted to.
 */
#ifndef HOLDFS_UTIL_LIMITS_H
#define HOLDFS_UTIL_LIMITS_H

enum {
    /* -- names -- */
    LIMIT_NAME_BYTES = 255,          /* one path component: NAME_MAX, what the kernel passes */
    LIMIT_KEY_BYTES = 4095,          /* a key made on the mount: PATH_MAX without its zero */
    LIMIT_S3_KEY_BYTES = 1024,       /* a key made over S3: S3's limit (KeyTooLongError) */
    LIMIT_BUCKET_NAME_MIN_CHARS = 3, /* S3's naming rules */
    LIMIT_BUCKET_NAME_CHARS = 63,
    LIMIT_VERSION_ID_CHARS = 32, /* base32 of 160 random bits */

    /* -- frames and segments (encryption.md §2.1) -- */
    LIMIT_FRAME_PLAIN_BYTES = 65536, /* unit of authentication: one tag, one read, one decryption */
    LIMIT_FRAME_OVERHEAD_BYTES = 48, /* header 32, tag 16 */
    LIMIT_SEGMENT_BYTES = 64 << 20, /* large enough to amortise a file, small enough to compact in a second */

    /* -- metadata pages (encryption.md §2.2; SQLite's own range is 512..65536) -- */
    LIMIT_PAGE_MIN_BYTES = 4096,     /* below it the 40 reserved bytes cost over 1 % */
    LIMIT_PAGE_DEFAULT_BYTES = 4096, /* doc/decisions/page-size.md */
    LIMIT_PAGE_MAX_BYTES = 65536,
    LIMIT_PAGE_RESERVE_BYTES = 40, /* XAES nonce 24, tag 16 */

    /* -- store header and secrets (encryption.md §1.1) -- */
    LIMIT_SLOTS = 16,
    LIMIT_HEADER_BYTES = 65536, /* 16 slots with a KMS blob each stay below; more is no header */
    LIMIT_PASSPHRASE_BYTES = 1024,
    LIMIT_PASSPHRASE_SHORT_BYTES = 12, /* below it the user is warned */
    LIMIT_KEYFILE_MIN_BYTES = 32,      /* 256 bits, should each byte be random */
    LIMIT_KEYFILE_BYTES = 8192,
    LIMIT_SCRYPT_LOG_N_MIN = 14,     /* 16 MiB: below it guessing is cheap */
    LIMIT_SCRYPT_LOG_N_DEFAULT = 17, /* 128 MiB, 0.3 s */
    LIMIT_SCRYPT_LOG_N_MAX = 20,     /* 1 GiB: more could be an altered header eating the memory */
    LIMIT_SCRYPT_P_MAX = 4,
    LIMIT_KMS_BLOB_BYTES = 6144, /* AWS KMS: CiphertextBlob */

    /* -- metadata of an object -- */
    LIMIT_XATTR_VALUE_BYTES = 65536,  /* XATTR_SIZE_MAX */
    LIMIT_USER_METADATA_BYTES = 2048, /* S3: x-amz-meta-*, names and values together */
    LIMIT_OBJECT_TAGS = 10,           /* S3 */
    LIMIT_BUCKET_TAGS = 50,           /* S3 */
    LIMIT_TAG_KEY_CHARS = 128,
    LIMIT_TAG_VALUE_CHARS = 256,

    /* -- retention -- */
    LIMIT_COMPLIANCE_DAYS = 36500, /* further ahead could never be undone: taken for a slip */
    LIMIT_TIME_AUTHORITIES = 8,       /* asked at once; more would prove no more */
    LIMIT_TIME_AUTHORITY_CERTS = 8,   /* pinned for one authority: a root, its successors */
    LIMIT_TIME_ANSWER_BYTES = 65536,  /* a time-stamp with its chain has some 6 KiB */
    LIMIT_URL_BYTES = 1024,
};

_Static_assert(LIMIT_S3_KEY_BYTES <= LIMIT_KEY_BYTES, "what S3 makes, the mount can name");
_Static_assert(LIMIT_FRAME_PLAIN_BYTES + LIMIT_FRAME_OVERHEAD_BYTES < LIMIT_SEGMENT_BYTES,
               "a frame fits a segment");
_Static_assert((LIMIT_PAGE_DEFAULT_BYTES & (LIMIT_PAGE_DEFAULT_BYTES - 1)) == 0, "SQLite: a power of two");
_Static_assert(LIMIT_PAGE_MIN_BYTES - LIMIT_PAGE_RESERVE_BYTES >= 480, "SQLite: at least 480 usable bytes");
_Static_assert(LIMIT_PAGE_RESERVE_BYTES <= 255, "SQLite: one byte in the file header");
_Static_assert(LIMIT_SCRYPT_LOG_N_MIN <= LIMIT_SCRYPT_LOG_N_DEFAULT &&
                   LIMIT_SCRYPT_LOG_N_DEFAULT <= LIMIT_SCRYPT_LOG_N_MAX,
               "the default is in range");

#endif
