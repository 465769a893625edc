/* Handles under threads (T61, T62): shared immutable objects, an opener that two threads want at once, objects freed during use, and a
 * handle that many threads free. Give an argument for fewer rounds. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>

#include "check.h"

#define THREADS 4

static int rounds = 20000;
static pv_policy *shared;
static pv_opener *contested;
static volatile int stop;

static void *read_shared(void *unused) {
    char first[65];
    int i;
    (void)unused;
    memcpy(first, pv_policy_sha256(shared), sizeof first);
    for (i = 0; i < rounds; i++) {
        pv_policy *own = NULL;
        CHECK(strcmp(pv_policy_sha256(shared), first) == 0);
        STATUS(PV_OK, pv_policy_preset("standard", &own, NULL));
        CHECK(strcmp(pv_policy_sha256(own), first) == 0);
        STATUS(PV_OK, pv_policy_free(own));
    }
    return NULL;
}

/* Pushes comments into the contested opener until it is gone. */
static void *push(void *unused) {
    static const uint8_t comment[] = ": keep-alive\n\n";
    pv_bytes piece;
    piece.data = comment;
    piece.len = sizeof comment - 1;
    (void)unused;
    while (!stop) {
        pv_events *events = NULL;
        pv_status status = pv_opener_push(contested, piece, &events, NULL);
        CHECK(status == PV_OK || status == PV_ERR_BUSY || status == PV_ERR_INVALID_HANDLE);
        CHECK(events == NULL);
        if (status == PV_ERR_INVALID_HANDLE) break;
    }
    return NULL;
}

/* Counts how often a handle could be freed: exactly one thread may. */
static void *free_once(void *freed) {
    pv_status status = pv_policy_free(shared);
    CHECK(status == PV_OK || status == PV_ERR_INVALID_HANDLE);
    *(int *)freed = status == PV_OK;
    return NULL;
}

static void all(void *(*work)(void *), pthread_t *threads) {
    int i;
    for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
}

static void join(pthread_t *threads) {
    int i;
    for (i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv) {
    static const uint8_t key[32] = {1};
    const pv_bytes secret = {key, sizeof key};
    const pv_header header = {"content-type", "text/event-stream"};
    pthread_t threads[THREADS];
    int freed[THREADS];
    int round, i, sum;
    (void)argv;
    if (argc > 1) rounds = 300;

    STATUS(PV_OK, pv_policy_preset("standard", &shared, NULL));
    all(read_shared, threads);
    join(threads);
    STATUS(PV_OK, pv_policy_free(shared));

    for (round = 0; round < rounds / 50; round++) {
        STATUS(PV_OK, pv_opener_for_key(secret, 0, &contested, NULL));
        STATUS(PV_OK, pv_opener_head(contested, 200, &header, 1, NULL));
        all(push, threads);
        for (i = 0; i < 100; i++) sched_yield();
        STATUS(PV_OK, pv_opener_free(contested));
        join(threads);

        STATUS(PV_OK, pv_policy_preset("standard", &shared, NULL));
        for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, free_once, &freed[i]) == 0);
        join(threads);
        for (i = 0, sum = 0; i < THREADS; i++) sum += freed[i];
        CHECK(sum == 1);
    }
    return finish();
}
