/* The client against the simulated provider: verify, chat, and everything that can end a stream early (T62, users.md 2.7). */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim.h"

static const char BODY[] =
    "{\"model\":\"" MODEL "\",\"messages\":[{\"role\":\"user\",\"content\":\"What is a sealed room?\"}]}";

static pv_trust_roots *roots;
static pv_client *client;

static pv_client *connect_to(const char *base_url) {
    pv_client_options options;
    pv_client *made = NULL;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.provider = "venice";
    options.api_key = KEY;
    options.base_url = base_url;
    options.collateral_url = setting("PV_SIM_COLLATERAL_URL");
    options.trust_roots = roots;
    options.proxy = "none";
    options.cache_dir = setting("PV_SIM_CACHE");
    STATUS(PV_OK, pv_client_new(&options, &made, NULL));
    return made;
}

static pv_stream *chat(void) {
    pv_stream *stream = NULL;
    pv_error *error = NULL;
    STATUS(PV_OK, pv_client_chat(client, pv_bytes_from_text(BODY), 30000, NULL, &stream, &error));
    show(error);
    return stream;
}

/* A stream that has given its first piece of text, and gives no more until the simulator is told to go on. */
static pv_stream *held_chat(void) {
    pv_stream *stream;
    pv_events *events = NULL;
    int32_t kind = 0;
    tell("hold 2");
    stream = chat();
    STATUS(PV_OK, pv_stream_next(stream, 0, NULL, &events, NULL));
    STATUS(PV_OK, pv_events_get(events, 0, &kind, NULL, NULL, NULL, NULL));
    CHECK(pv_events_count(events) == 1 && kind == PV_EVENT_CONTENT);
    STATUS(PV_OK, pv_events_free(events));
    return stream;
}

/* Reads one batch of events and throws it away. */
static pv_status read_some(pv_stream *stream, const pv_cancel *cancel, int *end) {
    pv_events *events = NULL;
    const pv_status status = pv_stream_next(stream, 0, cancel, &events, NULL);
    *end = status == PV_OK && events == NULL;
    CHECK(status == PV_OK || events == NULL);
    pv_events_free(events);
    return status;
}

static void verification(void) {
    pv_report *report = NULL;
    pv_endpoint *endpoint = NULL;
    pv_error *error = NULL;
    pv_buf models;
    STATUS(PV_OK, pv_client_verify(client, MODEL, 30000, NULL, &report, &error));
    show(error);
    CHECK(pv_report_verdict(report) == PV_VERDICT_VERIFIED && pv_report_level(report) >= PV_LEVEL_L2);
    CHECK(pv_report_code(report) == NULL && strcmp(pv_report_model(report), MODEL) == 0);
    CHECK(strstr(pv_report_text(report), "CUSTOM") != NULL);
    CHECK(strstr(pv_report_html(report), "CUSTOM roots") != NULL && strstr(pv_report_html(report), "<script") == NULL);
    CHECK(strstr(pv_report_svg(report), "CUSTOM roots") != NULL);
    CHECK(strstr(pv_report_ear_json(report), "\"ear_status\":\"contraindicated\"") != NULL);
    STATUS(PV_OK, pv_report_free(report));
    STATUS(PV_OK, pv_client_ready(client, MODEL, 30000, NULL, &endpoint, NULL));
    CHECK(strcmp(pv_endpoint_model(endpoint), MODEL) == 0 && strcmp(pv_endpoint_provider(endpoint), "venice") == 0);
    CHECK(pv_endpoint_not_after(endpoint) > 1700000000);
    STATUS(PV_OK, pv_endpoint_free(endpoint));
    STATUS(PV_OK, pv_client_models_json(client, 30000, NULL, &models, NULL));
    CHECK(strstr((const char *)models.data, MODEL) != NULL);
    STATUS(PV_OK, pv_buf_free(&models));
    FAILS(PV_ERR_UNKNOWN_MODEL, pv_client_verify(client, "e2ee-sim-27", 30000, NULL, &report, &error));
    FAILS(PV_ERR_INVALID_TEXT, pv_client_verify(client, "\xff", 30000, NULL, &report, &error));
    CHECK(report == NULL);
}

static void whole_answer(void) {
    pv_stream *stream = chat();
    pv_receipt *receipt = NULL;
    pv_error *error = NULL;
    pv_status status;
    size_t letters = 0;
    int32_t verdict = 0;
    int finished = 0, end = 0;
    FAILS(PV_ERR_OUT_OF_ORDER, pv_stream_receipt(stream, &receipt, &error));
    while (!end) {
        pv_events *events = NULL;
        size_t i;
        status = pv_stream_next(stream, 30000, NULL, &events, &error);
        CHECK(status == PV_OK);
        show(error);
        end = events == NULL;
        for (i = 0; i < pv_events_count(events); i++) {
            const char *text = NULL;
            size_t length = 0;
            int32_t kind = 0;
            STATUS(PV_OK, pv_events_get(events, i, &kind, NULL, &text, &length, NULL));
            if (kind == PV_EVENT_CONTENT) letters += length;
            if (kind == PV_EVENT_FINISH) finished++;
            CHECK(strlen(text) == length);
        }
        pv_events_free(events);
    }
    CHECK(letters > 40 && finished == 1);
    STATUS(PV_OK, pv_stream_receipt(stream, &receipt, NULL));
    CHECK(pv_receipt_sealed_fields(receipt) > 1 && strlen(pv_receipt_response_sha256(receipt)) == 64);
    STATUS(PV_OK, pv_receipt_free(receipt));
    STATUS(PV_OK, pv_stream_verify_signature(stream, 30000, NULL, &verdict, &error));
    show(error);
    CHECK(verdict == PV_SIGNATURE_BODY_MATCHES || verdict == PV_SIGNATURE_SIGNED_BODY_NOT_VERIFIABLE);
    STATUS(PV_OK, pv_stream_free(stream));
}

/* A stream that one thread waits on, and how another one ends that. */
typedef struct {
    pv_stream *stream;
    pv_cancel *cancel; /* NULL: by freeing the stream. */
} contest;

/* Acts as soon as a call waits on the stream: until then asking for its receipt is out of order, from then on it is busy. */
static void *end_the_wait(void *data) {
    const contest *given = data;
    pv_receipt *receipt = NULL;
    pv_status status;
    while ((status = pv_stream_receipt(given->stream, &receipt, NULL)) == PV_ERR_OUT_OF_ORDER) sched_yield();
    STATUS(PV_ERR_BUSY, status);
    if (given->cancel != NULL) {
        STATUS(PV_OK, pv_cancel_trigger(given->cancel));
    } else {
        STATUS(PV_OK, pv_stream_free(given->stream));
    }
    return NULL;
}

/* Waits on a held stream until the other thread ends it. Busy is what we are told while that one looks at the stream. */
static pv_status wait_in_vain(contest *given) {
    pthread_t thread;
    pv_status status;
    int end = 0;
    CHECK(pthread_create(&thread, NULL, end_the_wait, given) == 0);
    do status = read_some(given->stream, given->cancel, &end);
    while (status == PV_ERR_BUSY);
    CHECK(pthread_join(thread, NULL) == 0);
    return status;
}

/* A cancelled call ends, and the stream with it. */
static void cancelled(void) {
    contest given = {held_chat(), NULL};
    pv_stream *stream = NULL;
    int end = 0;
    STATUS(PV_OK, pv_cancel_new(&given.cancel, NULL));
    STATUS(PV_ERR_CANCELLED, wait_in_vain(&given));
    tell("abandoned");
    STATUS(PV_ERR_ALREADY_FINISHED, read_some(given.stream, NULL, &end));
    STATUS(PV_OK, pv_stream_free(given.stream));
    /* A switch that was thrown stays so. */
    STATUS(PV_ERR_CANCELLED, pv_client_chat(client, pv_bytes_from_text(BODY), 0, given.cancel, &stream, NULL));
    CHECK(stream == NULL);
    STATUS(PV_OK, pv_cancel_free(given.cancel));
}

/* Freeing a stream ends a call that waits on it in another thread. */
static void freed_during_use(void) {
    contest given = {held_chat(), NULL};
    STATUS(PV_ERR_CANCELLED, wait_in_vain(&given));
    tell("abandoned");
    STATUS(PV_ERR_INVALID_HANDLE, pv_stream_free(given.stream));
}

static void go_on(void) { tell("release"); }

/* Reads to the end. Whoever is told that the other one waits lets the answer go on. */
static void *read_all(void *stream) {
    static pthread_once_t held = PTHREAD_ONCE_INIT;
    pv_status status = PV_OK;
    int end = 0, busy = 0;
    while (!end && (status == PV_OK || status == PV_ERR_BUSY)) {
        status = read_some((pv_stream *)stream, NULL, &end);
        if (status == PV_ERR_BUSY) {
            busy = 1;
            CHECK(pthread_once(&held, go_on) == 0);
            sched_yield();
        }
    }
    STATUS(PV_OK, status);
    return busy ? stream : NULL;
}

/* Two threads on one stream: each event goes to one of them, the other one is told. */
static void contested(void) {
    pv_stream *stream = held_chat();
    pthread_t threads[2];
    void *busy[2];
    int i;
    for (i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, read_all, stream) == 0);
    for (i = 0; i < 2; i++) CHECK(pthread_join(threads[i], &busy[i]) == 0);
    CHECK(busy[0] != NULL || busy[1] != NULL);
    STATUS(PV_OK, pv_stream_free(stream));
}

/* A call that runs out of time says so; the stream ends with it. */
static void timeouts(void) {
    pv_stream *stream = held_chat();
    pv_events *events = NULL;
    int end = 0;
    STATUS(PV_ERR_TIMEOUT, pv_stream_next(stream, 1, NULL, &events, NULL));
    CHECK(events == NULL);
    tell("abandoned");
    STATUS(PV_ERR_ALREADY_FINISHED, read_some(stream, NULL, &end));
    STATUS(PV_OK, pv_stream_free(stream));
}

/* Nobody listens: could not be checked, and nothing hangs. */
static void unreachable(void) {
    pv_client *lost = connect_to("http://127.0.0.1:1");
    pv_report *report = NULL;
    pv_stream *stream = NULL;
    pv_error *error = NULL;
    /* There is nothing to judge, so there is no report either. */
    STATUS(PV_ERR_MODELS_UNREACHABLE, pv_client_verify(lost, MODEL, 20000, NULL, &report, &error));
    CHECK(report == NULL && pv_error_class(error) == PV_CLASS_INDETERMINATE && pv_error_retryable(error) == 1);
    pv_error_free(error);
    STATUS(PV_ERR_MODELS_UNREACHABLE, pv_client_chat(lost, pv_bytes_from_text(BODY), 20000, NULL, &stream, &error));
    CHECK(stream == NULL && pv_error_retryable(error) == 1);
    pv_error_free(error);
    STATUS(PV_OK, pv_client_free(lost));
}

/* A child of a process with a live client verifies anew, and never hangs (T63). */
static void forked(void) {
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        pv_report *report = NULL;
        alarm(30);
        STATUS(PV_OK, pv_client_verify(client, MODEL, 20000, NULL, &report, NULL));
        CHECK(pv_report_verdict(report) == PV_VERDICT_VERIFIED);
        _exit(checks_failed == 0 ? 0 : 1);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A child leaves the parent's stream alone: it is told at once that it cannot read on, and the parent's answer goes on (T63). */
static void forked_stream(void) {
    pv_stream *stream = held_chat();
    pv_receipt *receipt = NULL;
    int status = 0, end = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        pv_status next;
        int32_t verdict = 0;
        alarm(30);
        do next = read_some(stream, NULL, &end);
        while (next == PV_OK && !end);
        STATUS(PV_ERR_OUT_OF_ORDER, next);
        STATUS(PV_ERR_ALREADY_FINISHED, read_some(stream, NULL, &end));
        STATUS(PV_ERR_ALREADY_FINISHED, pv_stream_verify_signature(stream, 0, NULL, &verdict, NULL));
        STATUS(PV_OK, pv_stream_free(stream));
        STATUS(PV_OK, pv_client_free(client));
        _exit(checks_failed == 0 ? 0 : 1);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tell("release");
    while (!end && checks_failed == 0) STATUS(PV_OK, read_some(stream, NULL, &end));
    STATUS(PV_OK, pv_stream_receipt(stream, &receipt, NULL));
    STATUS(PV_OK, pv_receipt_free(receipt));
    STATUS(PV_OK, pv_stream_free(stream));
}

/* T27, T59: other software than the pinned one is refused with the difference; a broken file is not an empty one. */
static void pinned(void) {
    static const char PIN[] =
        "{\"schema\":\"proveil.pins/v1\",\"pins\":[{\"provider\":\"venice\",\"model\":\"" MODEL "\",\"base_url\":\"%s\","
        "\"roots\":\"custom\",\"pinned_at\":7,\"sha256\":\"3c03a12f01efc616830de28e032d7430ee44d37f647005720694727359224d9d\","
        "\"values\":{\"tdx.mr_td\":\"aa\"},\"events\":[],\"compose\":null}]}";
    char path[512];
    pv_client_options options;
    pv_client *made = NULL;
    pv_report *report = NULL;
    pv_endpoint *endpoint = NULL;
    pv_error *error = NULL;
    FILE *file;
    int round;
    snprintf(path, sizeof path, "%s/pins.json", setting("PV_SIM_CACHE"));
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.provider = "venice";
    options.api_key = KEY;
    options.base_url = setting("PV_SIM_BASE_URL");
    options.collateral_url = setting("PV_SIM_COLLATERAL_URL");
    options.trust_roots = roots;
    options.proxy = "none";
    options.pins_path = path;
    STATUS(PV_OK, pv_client_new(&options, &made, NULL));
    for (round = 0; round < 2; round++) {
        umask(077);
        file = fopen(path, "w");
        CHECK(file != NULL);
        if (round == 0)
            fprintf(file, PIN, setting("PV_SIM_BASE_URL"));
        fclose(file);
        if (round == 0) {
            STATUS(PV_OK, pv_client_verify(made, MODEL, 30000, NULL, &report, NULL));
            CHECK(strstr(pv_report_json(report), "PV-263") != NULL);
            CHECK(strstr(pv_report_json(report), "MRTD: pinned `aa`, now ") != NULL);
            STATUS(PV_OK, pv_report_free(report));
        }
        STATUS(round == 0 ? PV_ERR_SOFTWARE_CHANGED : PV_ERR_PINS_INVALID,
               pv_client_ready(made, MODEL, 30000, NULL, &endpoint, &error));
        CHECK(endpoint == NULL);
        STATUS(PV_OK, pv_error_free(error));
        error = NULL;
    }
    remove(path);
    STATUS(PV_OK, pv_client_free(made));
}

int main(void) {
    alarm(300); /* A hang ends here, by a signal. */
    roots = sim_roots();
    client = connect_to(setting("PV_SIM_BASE_URL"));
    verification();
    pinned();
    whole_answer();
    cancelled();
    freed_during_use();
    contested();
    timeouts();
    unreachable();
    forked();
    forked_stream();
    STATUS(PV_OK, pv_client_free(client));
    STATUS(PV_OK, pv_trust_roots_free(roots));
    return finish();
}
