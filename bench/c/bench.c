/*
 * Opens the recorded answer through the C interface in whole network pieces, and prints nanoseconds of thread CPU time per chunk.
 *
 * usage: bench-c DIR      (the directory that `proveil-bench record DIR` wrote)
 *
 * A pass is what bench/src/replay.rs does: a new opener, the head, every piece, the contents looked at, the end. The second fastest
 * of 15 passes is printed. Built and run by `cargo xtask bench`.
 */

#include <proveil.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENTS_PER_PIECE = 32, PASSES = 15, PIECES_MAX = 1024 };

struct file {
    uint8_t *data;
    size_t len;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void check(pv_status status, pv_error *error)
{
    if (status != PV_OK) {
        fail(pv_error_message(error));
    }
}

static struct file read_file(const char *dir, const char *name)
{
    struct file file = {NULL, 0};
    char path[4096];
    long length;
    FILE *stream;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    stream = fopen(path, "rb");
    if (stream == NULL || fseek(stream, 0, SEEK_END) != 0 || (length = ftell(stream)) < 0) {
        fail(path);
    }
    rewind(stream);
    file.len = (size_t)length;
    file.data = malloc(file.len + 1);
    if (file.data == NULL || fread(file.data, 1, file.len, stream) != file.len) {
        fail(path);
    }
    fclose(stream);
    return file;
}

/* Cuts after every 32nd blank line. */
static size_t cut(struct file stream, pv_bytes *pieces)
{
    size_t count = 0;
    size_t start = 0;
    int events = 0;
    size_t at;
    for (at = 1; at < stream.len && count < PIECES_MAX; at++) {
        int event_ends = stream.data[at] == '\n' && stream.data[at - 1] == '\n';
        events += event_ends;
        if (event_ends && (events == EVENTS_PER_PIECE || at + 1 == stream.len)) {
            pieces[count].data = stream.data + start;
            pieces[count].len = at + 1 - start;
            count++;
            start = at + 1;
            events = 0;
        }
    }
    return count;
}

static void decode_key(struct file hex, uint8_t key[32])
{
    size_t i;
    if (hex.len != 64) {
        fail("the key is not 64 hex digits");
    }
    for (i = 0; i < 32; i++) {
        char digits[3] = {(char)hex.data[2 * i], (char)hex.data[2 * i + 1], 0};
        key[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

/* The contents of some events. */
static size_t count_contents(pv_events *events)
{
    size_t contents = 0;
    size_t count = pv_events_count(events);
    size_t i;
    for (i = 0; i < count; i++) {
        int32_t kind;
        const char *text;
        size_t text_len;
        check(pv_events_get(events, i, &kind, NULL, &text, &text_len, NULL), NULL);
        contents += kind == PV_EVENT_CONTENT && text_len > 0;
    }
    return contents;
}

static size_t open_answer(const uint8_t key[32], const pv_bytes *pieces, size_t piece_count)
{
    pv_header header = {"content-type", "text/event-stream"};
    pv_bytes key_bytes = {key, 32};
    pv_opener *opener;
    pv_events *events;
    pv_receipt *receipt;
    pv_error *error = NULL;
    size_t contents = 0;
    size_t i;
    check(pv_opener_for_key(key_bytes, 0, &opener, &error), error);
    check(pv_opener_head(opener, 200, &header, 1, &error), error);
    for (i = 0; i < piece_count; i++) {
        check(pv_opener_push(opener, pieces[i], &events, &error), error);
        contents += count_contents(events);
        pv_events_free(events);
    }
    check(pv_opener_finish(opener, &events, &receipt, &error), error);
    pv_events_free(events);
    pv_receipt_free(receipt);
    pv_opener_free(opener);
    return contents;
}

static double thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv)
{
    static pv_bytes pieces[PIECES_MAX];
    double passes[PASSES];
    uint8_t key[32];
    struct file stream;
    size_t piece_count;
    size_t chunks;
    int i;
    if (argc != 2) {
        fail("usage: bench-c DIR");
    }
    stream = read_file(argv[1], "stream.sse");
    decode_key(read_file(argv[1], "stream.key"), key);
    piece_count = cut(stream, pieces);
    chunks = open_answer(key, pieces, piece_count);
    if (chunks == 0) {
        fail("the answer has no content");
    }
    for (i = 0; i < PASSES; i++) {
        double start = thread_cpu_ns();
        open_answer(key, pieces, piece_count);
        passes[i] = (thread_cpu_ns() - start) / (double)chunks;
    }
    qsort(passes, PASSES, sizeof passes[0], ascending);
    printf("%.1f\n", passes[1]);
    return 0;
}
