#include "core/stsrecord.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define ID32 "abcdefghijABCDEFGHIJ012345678901"
#define NAME32 "a1234567890_-.ABCDEFGHIJKLMNOPQR"

/* A literal with its length, NULs inside it included. */
#define TEXT(s) .text = (s), .len = sizeof(s) - 1

struct row {
    const char *text;
    size_t len;
    const char *want_id;     /* NULL: invalid */
    const char *want_reason; /* a part of it; NULL: any */
    bool want_dropped;       /* no candidate: not even counted (R4) */
    const char *why;
};

static const struct row rows[] = {
    {TEXT("v=STSv1; id=20160831085700Z;"), .want_id = "20160831085700Z",
     .why = "RFC 8461 3.1's own"},
    {TEXT("v=STSv1; id=d42;"), .want_id = "d42", .why = "R3: joined strings"},
    {TEXT("v=STSv1;id=1"), .want_id = "1", .why = "R12: no white space, no trailing delimiter"},
    {TEXT("v=STSv1;\tid=1 ;"), .want_id = "1",
     .why = "R12: tab, and blank before the trailing delimiter"},
    {TEXT("v=STSv1 \t ; \t id=1 \t ; \t "), .want_id = "1", .why = "R12: white space everywhere"},
    {TEXT("v=STSv1 ;id=1"), .want_id = "1",
     .why = "R4 [choice]: white space before the first delimiter"},
    {TEXT("v=STSv1\t;id=1"), .want_id = "1", .why = "R4 [choice]: tab there"},
    {TEXT("v=STSv1; id=" ID32 ";"), .want_id = ID32, .why = "R8: 32 characters"},

    {TEXT(""), .want_dropped = true, .why = "R4: empty"},
    {TEXT("v=STSv1"), .want_dropped = true, .why = "R6, R4: no delimiter"},
    {TEXT("v=STSv1 "), .want_dropped = true, .why = "R4: no delimiter behind white space"},
    {TEXT("v=STSv"), .want_dropped = true, .why = "R4: cut short"},
    {TEXT("v=STSv1.1; id=1"), .want_dropped = true, .why = "R4: another version"},
    {TEXT("v=STSv10; id=1"), .want_dropped = true, .why = "R4: another version"},
    {TEXT("v=STSv2; id=1"), .want_dropped = true, .why = "R4: another version"},
    {TEXT("V=STSv1; id=1"), .want_dropped = true, .why = "R7: field name's case"},
    {TEXT("v=stsv1; id=1"), .want_dropped = true, .why = "R7: value's case"},
    {TEXT("id=1; v=STSv1;"), .want_dropped = true, .why = "R7: version not first"},
    {TEXT(" v=STSv1; id=1"), .want_dropped = true, .why = "R7: white space in front"},
    {TEXT("v =STSv1; id=1"), .want_dropped = true, .why = "R7: white space in the version"},
    {TEXT("v=spf1 -all"), .want_dropped = true, .why = "R4: SPF"},
    {TEXT("v=STSv1\0;id=1"), .want_dropped = true, .why = "R13: NUL before the delimiter"},
    {TEXT("v=STSv1\r;id=1"), .want_dropped = true, .why = "R12: CR is no WSP"},

    {TEXT("v=STSv1;"), .want_reason = "no id", .why = "R8: nothing but the version"},
    {TEXT("v=STSv1; "), .want_reason = "no id", .why = "R8: nothing but white space"},
    {TEXT("v=STSv1; foo=bar"), .want_reason = "no id", .why = "R8"},
    {TEXT("v=STSv1;;id=1"), .want_reason = "empty field", .why = "R6, R12"},
    {TEXT("v=STSv1; ; id=1"), .want_reason = "empty field", .why = "R12"},
    {TEXT("v=STSv1; id=1;;"), .want_reason = "empty field", .why = "R12: one trailing delimiter"},
    {TEXT("v=STSv1; id=1; ;"), .want_reason = "empty field", .why = "R12: one trailing delimiter"},
    {TEXT("v=STSv1; id=1 "), .want_reason = "white space",
     .why = "R12: WSP only around a delimiter"},
    {TEXT("v=STSv1; id="), .want_reason = "no value", .why = "R6: empty id"},
    {TEXT("v=STSv1; id=;"), .want_reason = "no value", .why = "R6: empty id"},
    {TEXT("v=STSv1; id= 1"), .want_reason = "white space",
     .why = "R8: white space before the value"},
    {TEXT("v=STSv1; id =1"), .want_reason = "name=value", .why = "R8: white space before ="},
    {TEXT("v=STSv1; id"), .want_reason = "name=value", .why = "R8: no ="},
    {TEXT("v=STSv1; id;"), .want_reason = "name=value", .why = "R8: no ="},
    {TEXT("v=STSv1; =1"), .want_reason = "name=value", .why = "R10: no name"},
    {TEXT("v=STSv1; id=a b"), .want_reason = "white space", .why = "R6"},
    {TEXT("v=STSv1; id=a-b"), .want_reason = "letters and digits", .why = "R8: hyphen"},
    {TEXT("v=STSv1; id=a.b"), .want_reason = "letters and digits", .why = "R8: dot"},
    {TEXT("v=STSv1; id=\"1\""), .want_reason = "letters and digits", .why = "R8: quotes"},
    {TEXT("v=STSv1; id=" ID32 "2;"), .want_reason = "longer than 32", .why = "R8: 33 characters"},
    {TEXT("v=STSv1; ID=1"), .want_reason = "no id", .why = "R8: name lower-case"},
    {TEXT("v=STSv1, id=1"), .want_dropped = true, .why = "R4: comma"},

    {TEXT("v=STSv1; x=y; id=1"), .want_id = "1", .why = "R7: other fields in any order"},
    {TEXT("v=STSv1; foo=bar; id=1;"), .want_id = "1", .why = "R10"},
    {TEXT("v=STSv1; id=1; foo=bar"), .want_id = "1", .why = "R10: behind the id"},
    {TEXT("v=STSv1; " NAME32 "=x; id=1"), .want_id = "1", .why = "R10: name of 32 characters"},
    {TEXT("v=STSv1; " NAME32 "S=x; id=1"), .want_reason = "name=value",
     .why = "R10: 33 characters"},
    {TEXT("v=STSv1; 9=x; id=1"), .want_id = "1", .why = "R10: name begins with a digit"},
    {TEXT("v=STSv1; _a=x; id=1"), .want_reason = "name=value", .why = "R10: begins with _"},
    {TEXT("v=STSv1; -a=x; id=1"), .want_reason = "name=value", .why = "R10: begins with -"},
    {TEXT("v=STSv1; .a=x; id=1"), .want_reason = "name=value", .why = "R10: begins with ."},
    {TEXT("v=STSv1; a+b=x; id=1"), .want_reason = "name=value", .why = "R10: + in a name"},
    {TEXT("v=STSv1; a=!:<>~/\"\\; id=1"), .want_id = "1", .why = "R10: printable values"},
    {TEXT("v=STSv1; foo=; id=1"), .want_reason = "no value", .why = "R10: empty value"},
    {TEXT("v=STSv1; foo=a=b; id=1"), .want_reason = "\"=\"", .why = "R10: = in a value"},
    {TEXT("v=STSv1; foo=a b; id=1"), .want_reason = "white space", .why = "R10: blank in a value"},
    {TEXT("v=STSv1; foo=a\x7f; id=1"), .want_reason = "character", .why = "R10: DEL"},
    {TEXT("v=STSv1; foo=a\0; id=1"), .want_reason = "character", .why = "R10: NUL"},
    {TEXT("v=STSv1; foo=\xe9; id=1"), .want_reason = "character", .why = "R13: 0xE9"},
    {TEXT("v=STSv1; foo=b\xc3\xa4r; id=1"), .want_reason = "character", .why = "R13: UTF-8"},
    {TEXT("v=STSv1; id=1; \xc3\xa4=1"), .want_reason = "name=value", .why = "R13: in a name"},
    {TEXT("v=STSv1;\xc2\xa0id=1"), .want_reason = "name=value", .why = "R13: no-break space"},
    {TEXT("v=STSv1; id=1\n"), .want_reason = "character", .why = "R12: LF is no WSP"},
    {TEXT("v=STSv1; id=1; foo"), .want_reason = "name=value", .why = "R6: broken behind a good id"},

    {TEXT("v=STSv1; id=1; id=2"), .want_id = "1", .why = "R11"},
    {TEXT("v=STSv1; id=a-b; id=2"), .want_reason = "letters",
     .why = "R11: the first counts, and is bad"},
    {TEXT("v=STSv1; id=; id=2"), .want_reason = "no value",
     .why = "R11: the first counts, and is bad"},
    {TEXT("v=STSv1; id=1; id=a-b"), .want_id = "1", .why = "R11: the second is not looked at"},
    {TEXT("v=STSv1; id=1; id=" ID32 ID32), .want_id = "1",
     .why = "R11: the second is not looked at"},
    {TEXT("v=STSv1; id=1; id="), .want_reason = "no value", .why = "R10: but it is a field"},
    {TEXT("v=STSv1; v=STSv1; id=1"), .want_id = "1", .why = "R11: version again"},
    {TEXT("v=STSv1; v=STSv2; id=1"), .want_id = "1", .why = "R11: another version behind"},
    {TEXT("v=STSv1; idx=1; i=2; id=3"), .want_id = "3", .why = "R8: whole names"},
};

static void check_row(const struct row *r)
{
    char *text = guard_copy(r->text, r->len);
    char id[STS_ID_SIZE] = "stale";
    const char *reason = sts_record_parse(text, r->len, id);
    bool good = r->want_id != NULL;

    if ((reason == NULL) != good || strcmp(id, good ? r->want_id : "") != 0)
        fail_msg("\"%s\" (%s): id \"%s\", %s", r->text, r->why, id, reason ? reason : "valid");
    if (r->want_reason != NULL && strstr(reason, r->want_reason) == NULL)
        fail_msg("\"%s\" (%s): reason %s", r->text, r->why, reason);
    if (sts_record_is_candidate(text, r->len) == r->want_dropped)
        fail_msg("\"%s\" (%s): wrongly %s", r->text, r->why, r->want_dropped ? "kept" : "dropped");
    guard_free(text, r->len);
}

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&rows[i]);
}

static void test_cut_short(void **state)
{
    static const char whole[] = "v=STSv1 ; x=y ; id=12 ; z=1 ; ";

    (void)state;
    /* Any prefix is read without going past its end; those that are valid have the right id. */
    for (size_t len = 0; len < sizeof(whole); len++) {
        char *text = guard_copy(whole, len);
        char id[STS_ID_SIZE];

        if (sts_record_parse(text, len, id) == NULL)
            assert_memory_equal(id, "12", strlen(id));
        guard_free(text, len);
    }
}

enum { RECORDS = 3 };

static const struct select_row {
    const char *records[RECORDS];
    const char *want_id; /* NULL: none */
    const char *want_reason;
    const char *why;
} select_rows[] = {
    {.records = {"v=STSv1; id=1"}, .want_id = "1", .why = "R5: exactly one"},
    {.records = {"v=spf1 -all", "v=STSv1; id=1", "x"},
     .want_id = "1",
     .why = "R4: others dropped first"},
    {.records = {"", "v=STSv10; id=2", "v=STSv1 ;id=1"}, .want_id = "1", .why = "R4"},
    {.want_reason = "no MTA-STS record", .why = "R5: no records"},
    {.records = {"v=spf1 -all"}, .want_reason = "no MTA-STS record", .why = "R5: none left"},
    {.records = {"v=STSv1; id=1", "v=STSv1; id=2"},
     .want_reason = "more than one",
     .why = "R5: two"},
    {.records = {"v=STSv1; id=1", "v=STSv1; id=1"},
     .want_reason = "more than one",
     .why = "R5: the same twice"},
    {.records = {"v=STSv1; id=1", "v=STSv1;"},
     .want_reason = "more than one",
     .why = "R4, R5: an invalid one counts"},
    {.records = {"v=STSv1; id=1", "v=STSv1 ; id=1"},
     .want_reason = "more than one",
     .why = "R4 [choice]: so does one with white space"},
    {.records = {"v=STSv1; id="}, .want_reason = "no value", .why = "R6: one, invalid"},
};

static size_t make_records(const struct select_row *row, struct dns_record records[RECORDS])
{
    size_t n = 0;

    memset(records, 0, RECORDS * sizeof(records[0]));
    for (; n < RECORDS && row->records[n] != NULL; n++) {
        records[n].text = row->records[n];
        records[n].text_len = strlen(row->records[n]);
    }
    return n;
}

static void test_select(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(select_rows) / sizeof(select_rows[0]); i++) {
        const struct select_row *row = &select_rows[i];
        struct dns_record records[RECORDS];
        char id[STS_ID_SIZE] = "stale";
        const char *reason = sts_record_select(records, make_records(row, records), id);

        if (strcmp(id, row->want_id ? row->want_id : "") != 0)
            fail_msg("%s: id \"%s\"", row->why, id);
        if ((reason == NULL) != (row->want_reason == NULL) ||
            (reason != NULL && strstr(reason, row->want_reason) == NULL))
            fail_msg("%s: reason %s", row->why, reason ? reason : "none");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_select),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
