/* A child that is forked while other threads use the library works, or fails at once, and never hangs (T63). Give an argument for fewer
 * rounds. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile int stop;

static void *churn(void *unused) {
    (void)unused;
    while (!stop) {
        pv_policy *policy = NULL;
        STATUS(PV_OK, pv_policy_preset("standard", &policy, NULL));
        STATUS(PV_OK, pv_policy_free(policy));
    }
    return NULL;
}

static int child(pv_policy *inherited) {
    static const uint8_t key[32] = {1};
    const pv_bytes secret = {key, sizeof key};
    pv_policy *own = NULL;
    pv_opener *opener = NULL;
    alarm(30); /* A hang ends here, by a signal. */
    STATUS(PV_OK, pv_policy_preset("strict", &own, NULL));
    STATUS(PV_OK, pv_opener_for_key(secret, 0, &opener, NULL));
    CHECK(pv_policy_to_json(inherited) != NULL);
    STATUS(PV_OK, pv_policy_free(inherited));
    STATUS(PV_ERR_INVALID_HANDLE, pv_policy_free(inherited));
    STATUS(PV_OK, pv_opener_free(opener));
    STATUS(PV_OK, pv_policy_free(own));
    return checks_failed == 0 ? 0 : 1;
}

/* Nobody listens there, and it is not waited for. */
static void *first_call(void *client) {
    pv_buf models;
    CHECK(pv_client_models_json((pv_client *)client, 1, NULL, &models, NULL) != PV_OK);
    return NULL;
}

/* Forks while another thread makes the first call of the process, which starts the library's threads. */
static int forked_at_the_first_call(void) {
    pv_client_options options;
    pv_client *client = NULL;
    pthread_t thread;
    int status = 0;
    pid_t pid;
    alarm(120); /* Longer than below: the library is started here, which takes its time under valgrind. */
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.provider = "venice";
    options.api_key = "k";
    options.base_url = "http://127.0.0.1:1";
    options.proxy = "none";
    STATUS(PV_OK, pv_client_new(&options, &client, NULL));
    CHECK(pthread_create(&thread, NULL, first_call, client) == 0);
    pid = fork();
    if (pid == 0) {
        alarm(120);
        first_call(client);
        _exit(checks_failed == 0 ? 0 : 1);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return checks_failed == 0 ? 0 : 1;
}

/* Runs `work` in a child and expects that it succeeds. */
static void in_child(int (*work)(void)) {
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) _exit(work());
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? 20 : 300;
    pthread_t threads[2];
    pv_policy *policy = NULL;
    int i;
    (void)argv;
    STATUS(PV_OK, pv_policy_preset("standard", &policy, NULL));
    /* Before any thread of this process: each child starts the library's threads itself. */
    for (i = 0; i < rounds; i++) in_child(forked_at_the_first_call);
    for (i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
    for (i = 0; i < rounds; i++) {
        int status = 0;
        const pid_t pid = fork();
        if (pid == 0) _exit(child(policy));
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    stop = 1;
    for (i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    STATUS(PV_OK, pv_policy_free(policy));
    return finish();
}
