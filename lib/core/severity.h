/*
 * severity - how much a message for the log matters; the values are syslog's (RFC 5424 6.2.1)
 */
#ifndef STS_SEVERITY_H
#define STS_SEVERITY_H

enum severity {
    SEVERITY_ERROR = 3,
    SEVERITY_WARNING = 4,
    SEVERITY_NOTICE = 5,
    SEVERITY_INFO = 6,
    SEVERITY_DEBUG = 7
};

#endif
