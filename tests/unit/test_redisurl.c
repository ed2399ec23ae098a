#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "redis/redisurl.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void urls(void **state)
{
    static const struct {
        const char *text;
        bool want_good;
        const char *want_host, *want_path;
        uint16_t want_port;
        unsigned want_database;
        bool want_tls, want_local;
    } rows[] = {
        {"redis://127.0.0.1:6379/0", true, "127.0.0.1", "", 6379, 0, false, true},
        {"redis://redis.example.com", true, "redis.example.com", "", 6379, 0, false, false},
        {"REDIS://redis.example.com:7000/15", true, "redis.example.com", "", 7000, 15, false,
         false},
        {"redis://localhost/", true, "localhost", "", 6379, 0, false, true},
        {"redis://[::1]:6380/2", true, "::1", "", 6380, 2, false, true},
        {"redis://[2001:db8::1]", true, "2001:db8::1", "", 6379, 0, false, false},
        {"rediss://redis.example.com:6379/1", true, "redis.example.com", "", 6379, 1, true, false},
        {"unix:/run/redis/redis.sock", true, "", "/run/redis/redis.sock", 0, 0, false, true},
        {"unix:///run/redis.sock?db=3", true, "", "/run/redis.sock", 0, 3, false, true},
        {"", false, "", "", 0, 0, false, false},
        {"redis://", false, "", "", 0, 0, false, false},
        {"redis:///1", false, "", "", 0, 0, false, false},
        {"redis://:6379", false, "", "", 0, 0, false, false},
        {"redis://host:0", false, "", "", 0, 0, false, false},
        {"redis://host:65536", false, "", "", 0, 0, false, false},
        {"redis://host:", false, "", "", 0, 0, false, false},
        {"redis://host:6379x", false, "", "", 0, 0, false, false},
        {"redis://host/x", false, "", "", 0, 0, false, false},
        {"redis://host/-1", false, "", "", 0, 0, false, false},
        {"redis://host/99999999999999999999", false, "", "", 0, 0, false, false},
        {"redis://user:secret@host", false, "", "", 0, 0, false, false},
        {"redis://ho st", false, "", "", 0, 0, false, false},
        {"redis://[::1", false, "", "", 0, 0, false, false},
        {"redis://[host]", false, "", "", 0, 0, false, false},
        {"redis://[::1]x", false, "", "", 0, 0, false, false},
        {"redis://::1", false, "", "", 0, 0, false, false},
        {"unix:run/redis.sock", false, "", "", 0, 0, false, false},
        {"unix:/run/redis.sock?db=x", false, "", "", 0, 0, false, false},
        {"http://host", false, "", "", 0, 0, false, false},
        {"127.0.0.1:6379", false, "", "", 0, 0, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct redis_url url;
        const char *why = redis_url_parse(rows[i].text, &url);
        print_message("%s: %s\n", rows[i].text, why != NULL ? why : "good");
        assert_int_equal(why == NULL, rows[i].want_good);
        if (why != NULL)
            continue;
        assert_string_equal(url.host, rows[i].want_host);
        assert_string_equal(url.path, rows[i].want_path);
        assert_int_equal(url.port, rows[i].want_port);
        assert_int_equal(url.database, rows[i].want_database);
        assert_int_equal(url.tls, rows[i].want_tls);
        assert_int_equal(redis_url_is_local(&url), rows[i].want_local);
    }
}

static void too_long(void **state)
{
    char text[600] = "redis://";
    struct redis_url url;

    (void)state;
    memset(text + 8, 'a', 500);
    assert_non_null(redis_url_parse(text, &url));
    memcpy(text, "unix:/aa", 8);
    assert_non_null(redis_url_parse(text, &url));
    text[5 + 107] = '\0';
    assert_null(redis_url_parse(text, &url));
    assert_int_equal(strlen(url.path), 107);
}

static void sentinels(void **state)
{
    static const struct {
        const char *text;
        bool want_good;
        const char *want_host;
        uint16_t want_port;
    } rows[] = {
        {"10.0.0.1", true, "10.0.0.1", 26379},
        {"sentinel.example.com:5000", true, "sentinel.example.com", 5000},
        {"[2001:db8::1]:5000", true, "2001:db8::1", 5000},
        {"", false, "", 0},
        {"a/b", false, "", 0},
        {"host:x", false, "", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct redis_url url;
        print_message("%s\n", rows[i].text);
        assert_int_equal(redis_sentinel_parse(rows[i].text, &url) == NULL, rows[i].want_good);
        if (!rows[i].want_good)
            continue;
        assert_string_equal(url.host, rows[i].want_host);
        assert_int_equal(url.port, rows[i].want_port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(too_long),
        cmocka_unit_test(sentinels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
