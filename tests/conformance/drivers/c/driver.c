/*
 * Conformance driver for C (tests/conformance/protocol.md, tab form): one call a line, one answer a line.
 *
 */
#include <proveil.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const KINDS[] = {"", "content", "reasoning", "finish", "usage"};

/* A text under construction. */
typedef struct {
    char *text;
    size_t len, room;
} text;

static void append(text *out, const char *data, size_t len) {
    if (out->len + len + 1 > out->room) {
        out->room = 2 * (out->len + len + 1);
        out->text = realloc(out->text, out->room);
        if (out->text == NULL) exit(1);
    }
    memcpy(out->text + out->len, data, len);
    out->len += len;
    out->text[out->len] = '\0';
}

static void add(text *out, const char *data) { append(out, data, strlen(data)); }

/* Appends a JSON string, or null. */
static void add_string(text *out, const char *data, size_t len) {
    size_t i;
    if (data == NULL) {
        add(out, "null");
        return;
    }
    add(out, "\"");
    for (i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)data[i];
        char escaped[8];
        snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)c);
        c < 0x20 || c == '"' || c == '\\' ? add(out, escaped) : append(out, data + i, 1);
    }
    add(out, "\"");
}

static void add_c_string(text *out, const char *data) { add_string(out, data, data ? strlen(data) : 0); }

/* Decodes hex in place. */
static pv_bytes unhex(char *hex) {
    pv_bytes bytes = {(uint8_t *)hex, strlen(hex) / 2};
    size_t i;
    for (i = 0; i < bytes.len; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ((uint8_t *)hex)[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return bytes;
}

/* Appends and frees events. */
static void add_events(text *out, pv_events *events) {
    size_t i;
    for (i = 0; i < pv_events_count(events); i++) {
        const char *data;
        size_t len;
        int32_t kind;
        uint32_t choice;
        char head[64];
        if (pv_events_get(events, i, &kind, &choice, &data, &len, NULL) != PV_OK) exit(1);
        snprintf(head, sizeof head, "%s[\"%s\",%" PRIu32 ",", out->len ? "," : "", KINDS[kind], choice);
        add(out, head);
        add_string(out, data, len);
        add(out, "]");
    }
    pv_events_free(events);
}

static void fail(const char *id, pv_error *error, const text *delivered) {
    text line = {NULL, 0, 0};
    add(&line, "{\"delivered\":[");
    add(&line, delivered && delivered->text ? delivered->text : "");
    add(&line, "],\"found\":");
    add_c_string(&line, pv_error_found(error));
    printf("%s\terror\t%s\t%s}\n", id, pv_error_slug(error), line.text);
    free(line.text);
    pv_error_free(error);
}

/* Answers with a buffer: as it is, as a JSON string, or as a JSON string of its hex digits. */
static void give(const char *id, pv_status status, pv_buf *buf, pv_error *error, char form) {
    text line = {NULL, 0, 0};
    size_t i;
    if (status != PV_OK) {
        fail(id, error, NULL);
        return;
    }
    if (form == 'j') append(&line, (const char *)buf->data, buf->len);
    if (form == 's') add_string(&line, (const char *)buf->data, buf->len);
    if (form == 'h') {
        add(&line, "\"");
        for (i = 0; i < buf->len; i++) {
            char digits[3];
            snprintf(digits, sizeof digits, "%02x", buf->data[i]);
            add(&line, digits);
        }
        add(&line, "\"");
    }
    printf("%s\tok\t%s\n", id, line.text);
    free(line.text);
    pv_buf_free(buf);
}

static void open_stream(const char *id, char **args, int count) {
    const uint32_t flags = strcmp(args[1], "strict") == 0 ? 0 : PV_OPENER_ALLOW_WHITESPACE_PLAINTEXT;
    const pv_header header = {"content-type", args[3]};
    text seen = {NULL, 0, 0}, line = {NULL, 0, 0};
    pv_opener *opener = NULL;
    pv_events *events = NULL;
    pv_receipt *receipt = NULL;
    pv_error *error = NULL;
    pv_status status = pv_opener_for_key(unhex(args[0]), flags, &opener, &error);
    int i;
    if (status == PV_OK) status = pv_opener_head(opener, (uint32_t)strtoul(args[2], NULL, 10), &header, 1, &error);
    for (i = 4; i < count && status == PV_OK; i++) {
        status = pv_opener_push(opener, unhex(args[i]), &events, &error);
        add_events(&seen, events);
    }
    if (status == PV_OK) {
        status = pv_opener_finish(opener, &events, &receipt, &error);
        add_events(&seen, events);
    }
    if (status != PV_OK) {
        fail(id, error, &seen);
    } else {
        char numbers[160];
        add(&line, "{\"events\":[");
        add(&line, seen.text ? seen.text : "");
        add(&line, "],\"receipt\":{\"id\":");
        add_c_string(&line, pv_receipt_id(receipt));
        snprintf(numbers, sizeof numbers,
                 ",\"sealed_fields\":%" PRIu64 ",\"body_bytes\":%" PRIu64 ",\"ignored_bytes\":%" PRIu64 ",\"response_sha256\":",
                 pv_receipt_sealed_fields(receipt), pv_receipt_body_bytes(receipt), pv_receipt_ignored_bytes(receipt));
        add(&line, numbers);
        add_c_string(&line, pv_receipt_response_sha256(receipt));
        printf("%s\tok\t%s}}\n", id, line.text);
    }
    free(seen.text);
    free(line.text);
    pv_receipt_free(receipt);
    pv_opener_free(opener);
}

static void answer(char **fields, int count) {
    char **args = fields + 2;
    pv_buf buf = {NULL, 0, NULL};
    pv_error *error = NULL;
    pv_status status;
    if (count == 4 && strcmp(fields[1], "inspect") == 0) {
        status = pv_inspect(args[0], pv_bytes_from_text(args[1]), &buf, &error);
        give(fields[0], status, &buf, error, 'j');
    } else if (count == 4 && strcmp(fields[1], "open_field") == 0) {
        status = pv_open_field(unhex(args[0]), pv_bytes_from_text(args[1]), &buf, &error);
        give(fields[0], status, &buf, error, 'h');
    } else if (count == 4 && strcmp(fields[1], "seal_field") == 0) {
        status = pv_seal_field(unhex(args[0]), unhex(args[1]), &buf, &error);
        give(fields[0], status, &buf, error, 's');
    } else if (count >= 6 && strcmp(fields[1], "open_stream") == 0) {
        open_stream(fields[0], args, count - 2);
    } else {
        printf("%s\terror\tusage\t{\"delivered\":[],\"found\":null}\n", fields[0]);
    }
}

int main(void) {
    text line = {NULL, 0, 0};
    char *fields[65536];
    int c;
    while ((c = getchar()) != EOF) {
        const char byte = (char)c;
        if (c != '\n') {
            append(&line, &byte, 1);
        } else if (line.len > 0) {
            int count = 0;
            char *field = line.text;
            while (field != NULL && count < 65536) {
                char *tab = strchr(field, '\t');
                if (tab != NULL) *tab++ = '\0';
                fields[count++] = field;
                field = tab;
            }
            answer(fields, count);
            fflush(stdout);
            line.len = 0;
        }
    }
    free(line.text);
    return pv_live_handles() == 0 ? 0 : 1;
}
