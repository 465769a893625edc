/* Handles under threads (T61, T62): shared immutable objects, an opener that two threads want at once, objects freed during use, and a
 * handle that many threads free. Give an argument for fewer rounds. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "check.h"

#define THREADS 4
#define PUSHES 100

static int rounds = 20000;
static pv_policy *shared;
static pv_opener *contested;

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

/* Pushes comments into the contested opener and then frees it: whoever is first does that while others push. */
static void *push_and_free(void *freed) {
    static const uint8_t comment[] = ": keep-alive\n\n";
    pv_bytes piece;
    pv_status status = PV_OK;
    int i;
    piece.data = comment;
    piece.len = sizeof comment - 1;
    for (i = 0; i < PUSHES && status != PV_ERR_INVALID_HANDLE; i++) {
        pv_events *events = NULL;
        status = pv_opener_push(contested, piece, &events, NULL);
        CHECK(status == PV_OK || status == PV_ERR_BUSY || status == PV_ERR_INVALID_HANDLE);
        CHECK(events == NULL);
    }
    status = pv_opener_free(contested);
    CHECK(status == PV_OK || status == PV_ERR_INVALID_HANDLE);
    *(int *)freed = status == PV_OK;
    return NULL;
}

/* Counts how often a handle could be freed: exactly one thread may. */
static void *free_once(void *freed) {
    pv_status status = pv_policy_free(shared);
    CHECK(status == PV_OK || status == PV_ERR_INVALID_HANDLE);
    *(int *)freed = status == PV_OK;
    return NULL;
}

/* Runs this in all threads to its end; the sum of what each has put into its number, 0 where nothing. */
static int in_all(void *(*work)(void *)) {
    pthread_t threads[THREADS];
    int numbers[THREADS] = {0};
    int i, sum = 0;
    for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    for (i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (i = 0; i < THREADS; i++) sum += numbers[i];
    return sum;
}

int main(int argc, char **argv) {
    static const uint8_t key[32] = {1};
    const pv_bytes secret = {key, sizeof key};
    const pv_header header = {"content-type", "text/event-stream"};
    int round;
    (void)argv;
    if (argc > 1) rounds = 300;

    STATUS(PV_OK, pv_policy_preset("standard", &shared, NULL));
    in_all(read_shared);
    STATUS(PV_OK, pv_policy_free(shared));

    for (round = 0; round < rounds / 50; round++) {
        STATUS(PV_OK, pv_opener_for_key(secret, 0, &contested, NULL));
        STATUS(PV_OK, pv_opener_head(contested, 200, &header, 1, NULL));
        CHECK(in_all(push_and_free) == 1);

        STATUS(PV_OK, pv_policy_preset("standard", &shared, NULL));
        CHECK(in_all(free_once) == 1);
    }
    return finish();
}
