/* What the C tests share: counting checks, and calls that must fail with one code. */
#ifndef PROVEIL_TESTS_CHECK_H
#define PROVEIL_TESTS_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proveil.h"

static int checks_failed = 0;

#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            checks_failed++;                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
        }                                                                                    \
    } while (0)

/* The call must give this status. */
#define STATUS(expected, call)                                                               \
    do {                                                                                     \
        pv_status status_found = (call);                                                     \
        if (status_found != (expected)) {                                                    \
            checks_failed++;                                                                 \
            fprintf(stderr, "%s:%d: %s gave %" PRId32 ", not %" PRId32 "\n", __FILE__,       \
                    __LINE__, #call, status_found, (pv_status)(expected));                   \
        }                                                                                    \
    } while (0)

/* The call, which ends with `&error`, must fail with this number, and the error must say so. */
#define FAILS(expected, call)                                                                \
    do {                                                                                     \
        STATUS(expected, call);                                                              \
        CHECK(pv_error_number(error) == (expected));                                         \
        CHECK(error != NULL && strlen(pv_error_message(error)) > 0);                         \
        CHECK(pv_error_free(error) == PV_OK);                                                \
        error = NULL;                                                                        \
    } while (0)

/* Ends a test: every handle must be freed. */
static int finish(void) {
    CHECK(pv_live_handles() == 0);
    return checks_failed == 0 ? 0 : 1;
}

#endif
