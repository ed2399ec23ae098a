#include "ctl/report.h"

#include "ctl/command.h"

#include <string.h>

static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_text(text, strlen(text)) : json_null();
}

static json_t *time_or_null(int64_t when)
{
    char text[TIME_TEXT_SIZE];

    return when != 0 && when != INT64_MAX ? json_string(report_time(when, text)) : json_null();
}

static json_t *policy_json(const struct known *k)
{
    const struct policy *p = k->policy;
    json_t *o = json_object();
    json_t *mx = json_array();

    for (size_t i = 0; p != NULL && i < p->mx_count; i++)
        json_array_append_new(mx, json_string(p->mx[i]));
    json_object_set_new(o, "source", json_string(policy_source_name(k->source)));
    json_object_set_new(o, "id", text_or_null(p != NULL ? p->id : NULL));
    json_object_set_new(o, "mode",
                        p != NULL ? json_string(policy_mode_name(p->mode)) : json_null());
    json_object_set_new(o, "max_age", p != NULL ? json_integer(p->max_age) : json_null());
    json_object_set_new(o, "mx", mx);
    json_object_set_new(o, "fetched_at", time_or_null(p != NULL ? p->fetched_at : 0));
    json_object_set_new(o, "expires_at", time_or_null(p != NULL ? policy_expires_at(p) : 0));
    json_object_set_new(o, "error", text_or_null(k->sts_failure_reason));
    return o;
}

/* The names as the probe noted them: "a, b, c". */
static json_t *names_json(const char *names)
{
    json_t *array = json_array();

    while (*names != '\0') {
        size_t len = strcspn(names, ",");
        json_array_append_new(array, json_text(names, len));
        names += len;
        names += strspn(names, ", ");
    }
    return array;
}

static json_t *tls_json(const struct host_facts *f)
{
    json_t *o = json_object();

    json_object_set_new(o, "version", text_or_null(f->tls_version));
    json_object_set_new(o, "cipher", text_or_null(f->tls_cipher));
    json_object_set_new(o, "subject_alt_names", names_json(f->names));
    json_object_set_new(o, "not_after", time_or_null(f->not_after));
    return o;
}

static json_t *host_json(const struct judged_host *h, const struct mx_set *mx)
{
    const struct host_facts *f = h->facts;
    char ip[IPADDR_TEXT_SIZE];
    json_t *o = json_object();
    bool connected = f != NULL && f->address.family != 0;

    json_object_set_new(o, "host", json_string(h->mx.name));
    json_object_set_new(o, "preference", json_integer(h->mx.preference));
    json_object_set_new(o, "dnssec", json_string(report_dnssec(mx)));
    json_object_set_new(o, "verdict", json_string(verdict_name(h->verdict.verdict)));
    json_object_set_new(o, "result_type", text_or_null(result_type_name(h->verdict.result)));
    json_object_set_new(o, "reason", text_or_null(h->verdict.text));
    json_object_set_new(o, "ip",
                        connected ? json_string(ipaddr_text(&f->address, ip)) : json_null());
    json_object_set_new(o, "tls", f != NULL && f->stage == PROBE_DONE ? tls_json(f) : json_null());
    return o;
}

static json_t *steps_json(const struct explanation *x)
{
    json_t *array = json_array();

    for (size_t i = 0; i < x->step_count; i++) {
        const struct trace_step *s = &x->step[i];
        json_t *o = json_object();
        json_object_set_new(o, "name", json_text(s->name, strlen(s->name)));
        json_object_set_new(o, "ms", json_integer(s->ms));
        json_object_set_new(o, "detail", json_text(s->detail, strlen(s->detail)));
        json_array_append_new(array, o);
    }
    return array;
}

json_t *report_json(const struct report *r)
{
    const struct decision *d = r->x->decision;
    const struct known *k = r->x->known;
    char reply[REPLY_TEXT_SIZE + 16];
    json_t *o = json_object();
    json_t *mx = json_array();

    for (size_t i = 0; i < k->host_count; i++)
        json_array_append_new(mx, host_json(&k->host[i], k->mx));
    json_object_set_new(o, "domain", json_string(r->domain));
    json_object_set_new(o, "decision", json_string(action_name(d->action)));
    json_object_set_new(o, "reply", text_or_null(report_reply(d, reply, sizeof reply)));
    json_object_set_new(o, "mode",
                        k->policy != NULL ? json_string(policy_mode_name(k->policy->mode))
                                          : json_null());
    json_object_set_new(o, "policy", policy_json(k));
    json_object_set_new(o, "mx", mx);
    json_object_set_new(o, "steps", steps_json(r->x));
    if (r->note != NULL)
        json_object_set_new(o, "note", json_string(r->note));
    return o;
}
