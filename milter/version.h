/*
 * version - what -V prints and the policy fetch calls itself
 */
#ifndef STS_VERSION_H
#define STS_VERSION_H

#define STS_VERSION "0.1.0"

#endif
