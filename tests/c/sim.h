/* The simulated provider that the runner starts: where it is, and what a client of it needs. */
#ifndef PROVEIL_TESTS_SIM_H
#define PROVEIL_TESTS_SIM_H

#include <stdlib.h>

#include "check.h"

#define MODEL "e2ee-sim-27b"
#define KEY "test-key"

/* A value from the runner; without a runner there is nothing to test against. */
static const char *setting(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set: run by `cargo xtask test-c`\n", name);
        exit(2);
    }
    return value;
}

static pv_trust_roots *sim_roots(void) {
    pv_trust_roots *roots = NULL;
    STATUS(PV_OK, pv_trust_roots_from_json(pv_bytes_from_text(setting("PV_SIM_ROOTS")), &roots, NULL));
    return roots;
}

/* Gives the simulator a command and waits for its answer: the runner joins it to our standard output and input. */
static inline void tell(const char *command) {
    char answer[256];
    if (printf("%s\n", command) < 0 || fflush(stdout) != 0 || fgets(answer, sizeof answer, stdin) == NULL ||
        strcmp(answer, "{}\n") != 0) {
        fprintf(stderr, "the simulator did not obey: %s\n", command);
        exit(3);
    }
}

/* Prints an error that was not expected. */
static void show(pv_error *error) {
    if (error == NULL) return;
    fprintf(stderr, "%s: %s [%s]\n", pv_error_code(error), pv_error_message(error),
            pv_error_found(error) ? pv_error_found(error) : "");
    pv_error_free(error);
}

#endif
