/*
 * conf - the parts of reading sts-milter.conf, for config.c and conf*.c only
 *
 * conftext prepares the text, conffile has libconfuse read it into settings, confkeys is the one
 * table of keys, confvalue converts by it, conffault collects what is wrong.
 */
#ifndef STS_CONF_H
#define STS_CONF_H

#include "milter/config.h"

/* --- conffault: what is wrong, in any order; sorted by line when rendered --- */

struct conf_fault {
    int line; /* 0 = the file as a whole */
    char *text;
};
struct conf_faults {
    struct conf_fault *fault; /* at most CONF_FAULTS_MAX, later ones are left out */
    size_t count;
};
enum { CONF_FAULTS_MAX = 200, CONF_REASON_SIZE = 512 };

void conf_fault(struct conf_faults *f, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Append "PATH:line: text" lines to ERRORS, sorted, and empty F. */
void conf_faults_render(struct conf_faults *f, const char *path, struct config_errors *errors);

/* --- conftext: a file's text made fit for libconfuse 3.3 --- */

/* What conf_text_prepare puts in, for conffile to find. */
#define CONF_BLOCK_MARK                                                                            \
    "@" /* a key at the start of each block: tells its line, and that it begins */
#define CONF_EMPTY_LIST                                                                            \
    "\001" /* the one value of an empty list, which libconfuse would not mention */

enum { CONF_TEXT_MAX = 1024 * 1024 };

/*
 * The LEN octets at TEXT (terminated) with comments blanked out, blocks and empty lists marked;
 * line feeds stay where they are. Adds to FAULTS what libconfuse would let pass: control
 * characters, unclosed comments, strings and braces. The caller frees; NULL: out of memory.
 */
char *conf_text_prepare(const char *text, size_t len, struct conf_faults *faults);

/* --- confkeys: the one table --- */

enum conf_type {
    CONF_TEXT,    /* char * */
    CONF_LIST,    /* char **, NULL-terminated */
    CONF_NUMBER,  /* int64_t */
    CONF_SECONDS, /* int64_t ms; the file has seconds, decimals allowed */
    CONF_OCTAL,   /* int64_t */
    CONF_BOOL,    /* int */
    CONF_CHOICE   /* int, the index of the name */
};

enum { CONF_VALUE_SIZE = 1024 };

/* Bring TEXT into the form that is kept, in OUT. NULL, or what is wrong with it. */
typedef const char *(*conf_check)(const char *text, char out[CONF_VALUE_SIZE]);

struct conf_key {
    const char *section; /* "" for the top */
    const char *name;
    enum conf_type type;
    const char *def; /* as in the file; blanks between the values of a list */
    bool unbuilt;    /* of a part not in this version: accepted only at its default; no field */
    bool fixed;      /* cannot change at run time */
    bool
        unquoted; /* what `check` says is a sentence; the value, with a secret maybe, is not told */
    size_t offset; /* of its field in struct config, or in struct conf_override */
    int64_t min, max;
    const char *const *choices; /* NULL-terminated */
    conf_check check;           /* NULL: any text */
};

/* Where the keys of a block `override` go. */
struct conf_override {
    int mode; /* enum policy_mode */
    char **mx;
};

#define CONF_OVERRIDE "override"

extern const struct conf_key conf_keys[]; /* ends with a NULL name */
const struct conf_key *conf_key_find(const char *section, const char *name);
/* "dns.timeout" into OUT; returns OUT. */
enum { CONF_TITLE_SIZE = 64 };
const char *conf_key_title(const struct conf_key *key, char out[CONF_TITLE_SIZE]);

/* --- confcheck: checks for the table --- */

const char *conf_check_path(const char *text, char out[CONF_VALUE_SIZE]); /* absolute, or "" */
const char *conf_check_absolute_path(const char *text, char out[CONF_VALUE_SIZE]); /* not "" */
const char *conf_check_socket(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_unix_socket(const char *text, char out[CONF_VALUE_SIZE]); /* or "" */
const char *conf_check_host(const char *text, char out[CONF_VALUE_SIZE]);        /* or "" */
const char *conf_check_ipv4(const char *text, char out[CONF_VALUE_SIZE]);        /* or "" */
const char *conf_check_ipv6(const char *text, char out[CONF_VALUE_SIZE]);        /* or "" */
const char *conf_check_domain(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_exempt_domain(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_sender(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_glob(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_dns_server(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_unbound_option(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_redis_url(const char *text, char out[CONF_VALUE_SIZE]); /* or "" */
const char *conf_check_sentinel(const char *text, char out[CONF_VALUE_SIZE]);
/* Printable ASCII without blanks, 128 octets at most; the second may be "". */
const char *conf_check_word(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_word_or_none(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_prefix(const char *text, char out[CONF_VALUE_SIZE]);
const char *conf_check_mx(const char *text, char out[CONF_VALUE_SIZE]);

/* --- confvalue: from words to fields and back --- */

struct conf_value { /* the member that belongs to the key's type */
    int64_t number;
    char *text;
    char **list;
};

/* Convert the WORD of a scalar key. False with the reason in ERR. Clear V in both cases. */
bool conf_value_parse(const struct conf_key *key, const char *word, struct conf_value *v, char *err,
                      size_t size);
/* Convert WORD and append it to the list V (list NULL = empty). As above. */
bool conf_value_append(const struct conf_key *key, const char *word, struct conf_value *v,
                       char *err, size_t size);
/* The default of KEY. False: out of memory. */
bool conf_value_default(const struct conf_key *key, struct conf_value *v);
void conf_value_clear(struct conf_value *v);
bool conf_value_same(const struct conf_key *key, const struct conf_value *a,
                     const struct conf_value *b);
/* Move V into the field of KEY below BASE, whose old value is freed. V is empty then. */
void conf_value_store(const struct conf_key *key, void *base, struct conf_value *v);
/* The field's value, borrowed: not to be cleared. */
struct conf_value conf_value_peek(const struct conf_key *key, const void *base);
/* A copy for conf_value_store. False: out of memory. */
bool conf_value_dup(const struct conf_key *key, const struct conf_value *from,
                    struct conf_value *to);

/* --- conffile: a file as settings --- */

struct conf_word {
    char *text;
    int line;
};
struct conf_block {
    const char *section; /* of the table; "" is the top, always block 0 */
    char *title;         /* "" unless an override */
    int line;
};
struct conf_setting {
    const struct conf_key *key;
    size_t block;
    int line;
    bool append; /* "+=" without "=": the default comes first */
    struct conf_word *word;
    size_t count;
};
struct conf_file {
    struct conf_block *block;
    size_t block_count;
    struct conf_setting *setting;
    size_t setting_count;
    bool broken; /* a syntax error: what stands behind it is not known */
    bool no_memory;
};

/*
 * Read PATH into F (zeroed). What is wrong is added to FAULTS: the file itself, syntax, unknown
 * keys, things given twice. F holds what was read before a syntax error. MAY_BE_ABSENT: no file is
 * like an empty one. False: out of memory.
 */
bool conf_file_read(struct conf_file *f, const char *path, bool may_be_absent,
                    struct conf_faults *faults);
void conf_file_clear(struct conf_file *f);
/* The setting of KEY in block BLOCK, or NULL. */
const struct conf_setting *conf_file_find(const struct conf_file *f, size_t block,
                                          const struct conf_key *key);

/* --- confoverride: the blocks `override` --- */

/* Make the overrides of C from F. False: out of memory. */
bool conf_overrides_make(struct config *c, const struct conf_file *f, struct conf_faults *faults);
void conf_overrides_free(struct config *c);

/* Convert setting S into its field below BASE; what is wrong goes to FAULTS. False: out of memory.
 */
bool conf_setting_apply(const struct conf_setting *s, void *base, struct conf_faults *faults);

#endif
