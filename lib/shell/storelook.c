#include "shell/storelook.h"

#include "shell/storefile.h"
#include "shell/storekey.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the file's heads, as LMDB 0.9 writes them (data version 1) ---- */

enum {
    LMDB_VERSION = 1,
    LMDB_PAGE_LEAF = 0x02,
    LMDB_PAGE_OVERFLOW = 0x04,
    LMDB_PAGE_META = 0x08,
    PAGE_SIZE_MIN = 512,
    PAGE_SIZE_MAX = 65536
};
static const uint32_t lmdb_magic = 0xBEEFC0DE;

struct page_head {
    size_t number;
    uint16_t pad, flags;
    uint32_t pages; /* of an overflow page */
};

struct tree_head {
    uint32_t pad; /* the first one's is the page size */
    uint16_t flags, depth;
    size_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta_head {
    struct page_head page;
    uint32_t magic, version;
    void *address;
    size_t map_size;
    struct tree_head tree[2];
    size_t last_page, txn;
};

struct look {
    struct storelook *out;
    void (*told)(const struct storelook *out);
    size_t file_size, page_size, last_page, last_txn;
    size_t os_page_size;
    MDB_env *env;
    MDB_txn *txn;
    const char *base;       /* of the map, as the pages' numbers say */
    unsigned char *claimed; /* a bit for each page */
};

__attribute__((format(printf, 3, 4))) static bool verdict(struct look *l, enum storelook_verdict v,
                                                          const char *format, ...)
{
    va_list args;

    va_start(args, format);
    l->out->verdict = v;
    vsnprintf(l->out->reason, sizeof l->out->reason, format, args);
    va_end(args);
    return false;
}

/* What LMDB says with a number of its own concerns the file; errno concerns the machine. */
static bool lmdb_verdict(struct look *l, int rc, const char *what)
{
    bool machine = rc > 0 || rc == MDB_READERS_FULL || rc == MDB_MAP_RESIZED;

    return verdict(l, machine ? STORELOOK_UNKNOWN : STORELOOK_BAD, "%s: %s", what,
                   mdb_strerror(rc));
}

static bool meta_read(struct look *l, int fd, off_t at, struct meta_head *m)
{
    ssize_t n = pread(fd, m, sizeof(*m), at);

    if (n < 0)
        return verdict(l, STORELOOK_UNKNOWN, "%s", strerror(errno));
    if (n < (ssize_t)sizeof(*m))
        return verdict(l, STORELOOK_BAD, "cut short");
    if ((m->page.flags & LMDB_PAGE_META) == 0 || m->magic != lmdb_magic)
        return verdict(l, STORELOOK_BAD, "not an LMDB file");
    if (m->version != LMDB_VERSION)
        return verdict(l, STORELOOK_BAD, "LMDB's data version %u, not %d", m->version,
                       LMDB_VERSION);
    size_t size = m->tree[0].pad;
    if (size < PAGE_SIZE_MIN || size > PAGE_SIZE_MAX || (size & (size - 1)) != 0)
        return verdict(l, STORELOOK_BAD, "page size of %zu", size);
    return true;
}

/* A file that is shorter than its last page is not even mapped. */
static bool heads_are_good(struct look *l, int fd)
{
    struct meta_head a, b;
    struct stat st;

    if (!meta_read(l, fd, 0, &a) || !meta_read(l, fd, (off_t)a.tree[0].pad, &b))
        return false;
    const struct meta_head *m = a.txn >= b.txn ? &a : &b;
    if (a.tree[0].pad != b.tree[0].pad)
        return verdict(l, STORELOOK_BAD, "two page sizes");
    if (fstat(fd, &st) != 0)
        return verdict(l, STORELOOK_UNKNOWN, "%s", strerror(errno));
    l->file_size = (size_t)st.st_size;
    l->page_size = m->tree[0].pad;
    l->last_page = m->last_page;
    l->last_txn = m->txn;
    if (l->last_page >= l->file_size / l->page_size)
        return verdict(l, STORELOOK_BAD, "cut short: %zu octets, its last page is number %zu",
                       l->file_size, l->last_page);
    return true;
}

static bool heads(struct look *l, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return verdict(l, STORELOOK_UNKNOWN, "%s", strerror(errno));
    bool good = heads_are_good(l, fd);
    close(fd);
    return good;
}

/* ---- pages ---- */

/* Each page belongs to one thing only. */
static bool claim(struct look *l, size_t page)
{
    if (page < 2 || page > l->last_page)
        return verdict(l, STORELOOK_BAD, "page number %zu of %zu", page, l->last_page);
    if ((l->claimed[page / 8] >> page % 8 & 1) != 0)
        return verdict(l, STORELOOK_BAD, "page %zu is in use twice", page);
    l->claimed[page / 8] |= (unsigned char)(1U << page % 8);
    return true;
}

static const char *page_of(const struct look *l, const void *at)
{
    return (const char *)((uintptr_t)at & ~(uintptr_t)(l->page_size - 1));
}

/* Claim PAGE and those that belong to it. The first one seen tells where the map begins. */
static bool claim_run(struct look *l, const char *page, uint16_t kind)
{
    struct page_head h;

    memcpy(&h, page, sizeof h);
    if ((h.flags & kind) == 0 || h.number > l->last_page)
        return verdict(l, STORELOOK_BAD, "a page of the wrong kind");
    if (l->base == NULL)
        l->base = page - h.number * l->page_size;
    if (l->base + h.number * l->page_size != page)
        return verdict(l, STORELOOK_BAD, "page %zu is not in its place", h.number);
    size_t n = kind == LMDB_PAGE_OVERFLOW ? h.pages : 1;
    if (n == 0 || n > l->last_page + 1 - h.number)
        return verdict(l, STORELOOK_BAD, "page %zu has %zu pages", h.number, n);
    for (size_t i = 0; i < n; i++)
        if (!claim(l, h.number + i))
            return false;
    return true;
}

static bool within(const char *from, size_t len, const MDB_val *v)
{
    const char *data = v->mv_data;

    return data >= from && data <= from + len && v->mv_size <= (size_t)(from + len - data);
}

/* The value stands in its leaf, or by itself in overflow pages. */
static bool node_is_good(struct look *l, const MDB_val *key, const MDB_val *val, const char **leaf)
{
    const char *page = page_of(l, key->mv_data), *other = page_of(l, val->mv_data);
    size_t room = l->page_size;

    if (page != *leaf && !claim_run(l, page, LMDB_PAGE_LEAF))
        return false;
    *leaf = page;
    if (other != page) {
        if (!claim_run(l, other, LMDB_PAGE_OVERFLOW))
            return false;
        struct page_head h;
        memcpy(&h, other, sizeof h);
        room = h.pages * l->page_size;
    }
    if (!within(page, l->page_size, key) || !within(other, room, val))
        return verdict(l, STORELOOK_BAD, "an entry is longer than its page");
    return true;
}

static void touch(const MDB_val *v)
{
    const volatile unsigned char *at = v->mv_data;

    for (size_t i = 0; i < v->mv_size; i++)
        (void)at[i];
}

/* ---- trees ---- */

static bool order_is_good(struct look *l, MDB_dbi dbi, MDB_val *last, MDB_val *key)
{
    if (last->mv_data != NULL && mdb_cmp(l->txn, dbi, last, key) >= 0)
        return verdict(l, STORELOOK_BAD, "entries out of order");
    *last = *key;
    return true;
}

/* The branches must lead to the entry that the walk along the leaves found. */
static bool can_be_found(struct look *l, MDB_dbi dbi, MDB_val *key, const MDB_val *val)
{
    MDB_val found = {0};
    int rc = mdb_get(l->txn, dbi, key, &found);

    if (rc != 0 || found.mv_data != val->mv_data)
        return verdict(l, STORELOOK_BAD, "an entry cannot be found");
    return true;
}

/* The numbers of free pages, the first being how many there are. */
static bool free_list_is_good(struct look *l, const MDB_val *key, const MDB_val *val)
{
    const char *at = val->mv_data;
    size_t txn, n, page;

    if (key->mv_size != sizeof txn || val->mv_size < sizeof n)
        return verdict(l, STORELOOK_BAD, "free list");
    memcpy(&txn, key->mv_data, sizeof txn);
    memcpy(&n, at, sizeof n);
    if (txn > l->last_txn || n > l->last_page || val->mv_size < (n + 1) * sizeof n)
        return verdict(l, STORELOOK_BAD, "free list");
    for (size_t i = 1; i <= n; i++) {
        memcpy(&page, at + i * sizeof page, sizeof page);
        if (!claim(l, page))
            return false;
    }
    return true;
}

enum { FREE_TREE = 0 };

static bool entry_is_good(struct look *l, MDB_dbi dbi, MDB_val *key, const MDB_val *val,
                          const char **leaf)
{
    if (l->page_size <= l->os_page_size && !node_is_good(l, key, val, leaf))
        return false;
    touch(val);
    if (dbi == FREE_TREE)
        return free_list_is_good(l, key, val);
    return can_be_found(l, dbi, key, val);
}

static bool entries_are_good(struct look *l, MDB_dbi dbi, MDB_cursor *c, size_t want)
{
    MDB_val key, val, last = {0};
    const char *leaf = NULL;
    size_t n = 0;
    int rc;

    while ((rc = mdb_cursor_get(c, &key, &val, n == 0 ? MDB_FIRST : MDB_NEXT)) == 0) {
        if (!order_is_good(l, dbi, &last, &key) || !entry_is_good(l, dbi, &key, &val, &leaf))
            return false;
        n++;
    }
    if (rc != MDB_NOTFOUND)
        return lmdb_verdict(l, rc, "reading it");
    if (n != want)
        return verdict(l, STORELOOK_BAD, "%zu entries instead of %zu", n, want);
    return true;
}

static bool tree_is_good(struct look *l, MDB_dbi dbi, size_t *entries)
{
    MDB_cursor *c = NULL;
    MDB_stat st;
    int rc = mdb_stat(l->txn, dbi, &st);

    if (rc == 0)
        rc = mdb_cursor_open(l->txn, dbi, &c);
    if (rc != 0)
        return lmdb_verdict(l, rc, "reading it");
    *entries = st.ms_entries;
    bool good = entries_are_good(l, dbi, c, st.ms_entries);
    mdb_cursor_close(c);
    return good;
}

/* ---- what is in it ---- */

/* Decimal digits. Anything else is not of ours. */
static bool format_is_ours(struct look *l, MDB_dbi meta)
{
    char name[] = "format";
    MDB_val key = {sizeof name - 1, name}, val;
    char text[12] = "";
    int rc = mdb_get(l->txn, meta, &key, &val);

    if (rc != 0)
        return lmdb_verdict(l, rc, "its format");
    if (val.mv_size == 0 || val.mv_size >= sizeof text)
        return verdict(l, STORELOOK_BAD, "its format is no number");
    memcpy(text, val.mv_data, val.mv_size);
    if (strspn(text, "0123456789") != val.mv_size)
        return verdict(l, STORELOOK_BAD, "its format is no number");
    unsigned long format = strtoul(text, NULL, 10);
    if (format == STORE_FORMAT)
        return true;
    l->out->format = (uint32_t)format;
    return verdict(l, STORELOOK_FORMAT, "format %lu, not %d", format, STORE_FORMAT);
}

static bool trees_are_good(struct look *l)
{
    MDB_dbi names, meta, policies;
    size_t entries = 0;
    int rc = mdb_dbi_open(l->txn, NULL, 0, &names);

    if (rc != 0)
        return lmdb_verdict(l, rc, "reading it");
    if (!tree_is_good(l, FREE_TREE, &entries) || !tree_is_good(l, names, &entries))
        return false;
    if (entries == 0) /* killed between LMDB's making of the file and our first transaction */
        return true;
    rc = mdb_dbi_open(l->txn, "meta", 0, &meta);
    if (rc != 0)
        return lmdb_verdict(l, rc, "its format");
    if (!format_is_ours(l, meta))
        return false;
    rc = mdb_dbi_open(l->txn, "policies", 0, &policies);
    if (rc != 0)
        return lmdb_verdict(l, rc, "its policies");
    return tree_is_good(l, meta, &entries) && tree_is_good(l, policies, &entries);
}

static void asserted(MDB_env *env, const char *text)
{
    struct look *l = mdb_env_get_userctx(env);

    verdict(l, STORELOOK_BAD, "LMDB: %s", text);
    l->told(l->out);
}

static int open_env(struct look *l, const char *path, bool lock)
{
    unsigned flags = MDB_RDONLY | MDB_NOSUBDIR | MDB_NOTLS | (lock ? 0 : MDB_NOLOCK);
    size_t map = (l->file_size + l->os_page_size - 1) / l->os_page_size * l->os_page_size;
    int rc = mdb_env_create(&l->env);

    if (rc != 0)
        return rc;
    mdb_env_set_maxdbs(l->env, 2);
    mdb_env_set_mapsize(l->env, map);
    mdb_env_set_assert(l->env, asserted);
    mdb_env_set_userctx(l->env, l);
    rc = mdb_env_open(l->env, path, flags, 0600);
    return rc != 0 ? rc : mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->txn);
}

static void look(struct look *l, const char *path, bool lock)
{
    if (!heads(l, path))
        return;
    l->claimed = calloc(l->last_page / 8 + 1, 1);
    int rc = l->claimed == NULL ? ENOMEM : open_env(l, path, lock);
    if (rc != 0)
        lmdb_verdict(l, rc, "opening it");
    else if (trees_are_good(l))
        verdict(l, STORELOOK_GOOD, "%s", "");
    if (l->txn != NULL)
        mdb_txn_abort(l->txn);
    if (l->env != NULL)
        mdb_env_close(l->env);
    free(l->claimed);
}

void storelook(const char *path, bool lock, struct storelook *out,
               void (*told)(const struct storelook *out))
{
    struct look l = {.out = out, .told = told};

    *out = (struct storelook){.verdict = STORELOOK_UNKNOWN};
    l.os_page_size = (size_t)sysconf(_SC_PAGESIZE);
    look(&l, path, lock);
}
