/*
 * Streams a chat with a proven enclave.
 *
 *     VENICE_API_KEY=... chat venice MODEL PROMPT [BASE_URL [COLLATERAL_URL [TRUST_ROOTS.json]]]
 *     PRIVATEMODE_API_KEY=... chat privatemode MODEL PROMPT [...]
 *
 * The prompt leaves this program only after the enclave is verified, encrypted to the key that was proven. The three optional arguments
 * point at a simulator or a mirror.
 * Exit code: 0 answered in full, 2 bad input, 3 refused, 4 could not be checked, 5 the answer was not in order, 6 provider, 1 other.
 * Build: cc -std=c99 chat.c $(pkg-config --cflags --libs proveil)
 */
#include <proveil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOTS_MAX 65536

/* Prints and frees an error of the library; gives the exit code. */
static int explain(pv_error *error) {
    static const int by_class[] = {1, 2, 2, 3, 4, 5, 6, 5, 2, 2, 1};
    const int32_t class_ = pv_error_class(error);
    const int truncated = pv_error_number(error) == PV_ERR_TRUNCATED;
    fprintf(stderr, "\nchat: %s: %s %s\n", pv_error_code(error), pv_error_message(error), pv_error_hint(error));
    if (pv_error_found(error) != NULL) fprintf(stderr, "chat: found %s\n", pv_error_found(error));
    pv_error_free(error);
    return truncated ? 5 : by_class[class_];
}

/* Appends `text` to a JSON document as a string; `out` has room for six characters per byte and two quotes. */
static char *quote(char *out, const char *text) {
    *out++ = '"';
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == '"' || c == '\\') {
            out += sprintf(out, "\\u%04x", (unsigned)c);
        } else {
            *out++ = (char)c;
        }
    }
    *out++ = '"';
    return out;
}

/* {"model":MODEL,"messages":[{"role":"user","content":PROMPT}]}, to be given to free(). */
static char *request(const char *model, const char *prompt) {
    char *body = malloc(6 * (strlen(model) + strlen(prompt)) + 80);
    char *end = body;
    if (body == NULL) return NULL;
    end += sprintf(end, "{\"model\":");
    end = quote(end, model);
    end += sprintf(end, ",\"messages\":[{\"role\":\"user\",\"content\":");
    end = quote(end, prompt);
    strcpy(end, "}]}");
    return body;
}

static pv_trust_roots *read_roots(const char *path, pv_error **error) {
    static uint8_t text[ROOTS_MAX];
    pv_trust_roots *roots = NULL;
    pv_bytes document = {text, 0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    document.len = fread(text, 1, sizeof text, file);
    fclose(file);
    return pv_trust_roots_from_json(document, &roots, error) == PV_OK ? roots : NULL;
}

/* Prints the text of the answer as it comes. */
static int print_answer(pv_stream *stream) {
    pv_error *error = NULL;
    pv_events *events = NULL;
    while (pv_stream_next(stream, 0, NULL, &events, &error) == PV_OK && events != NULL) {
        size_t i;
        for (i = 0; i < pv_events_count(events); i++) {
            const char *text;
            size_t length;
            int32_t kind;
            if (pv_events_get(events, i, &kind, NULL, &text, &length, NULL) == PV_OK && kind == PV_EVENT_CONTENT) {
                fwrite(text, 1, length, stdout);
            }
        }
        fflush(stdout);
        pv_events_free(events);
    }
    if (error != NULL) return explain(error);
    putchar('\n');
    return 0;
}

static int chat(const pv_client_options *options, const char *body) {
    pv_client *client = NULL;
    pv_stream *stream = NULL;
    pv_report *report = NULL;
    pv_error *error = NULL;
    int code;
    if (pv_client_new(options, &client, &error) != PV_OK ||
        pv_client_chat(client, pv_bytes_from_text(body), 0, NULL, &stream, &error) != PV_OK ||
        pv_stream_report(stream, &report, &error) != PV_OK) {
        code = explain(error);
    } else {
        fprintf(stderr, "%s\n\n", pv_report_headline(report));
        code = print_answer(stream);
    }
    pv_report_free(report);
    pv_stream_free(stream);
    pv_client_free(client);
    return code;
}

int main(int argc, char **argv) {
    pv_client_options options = {.struct_size = sizeof options};
    const char *variable;
    pv_trust_roots *roots = NULL;
    pv_error *error = NULL;
    char *body;
    int code;
    if (argc < 4 || argc > 7) {
        fprintf(stderr, "usage: chat PROVIDER MODEL PROMPT [BASE_URL [COLLATERAL_URL [TRUST_ROOTS.json]]]\n");
        return 2;
    }
    /* A key is for its own provider only. */
    variable = strcmp(argv[1], "privatemode") == 0 ? "PRIVATEMODE_API_KEY" : "VENICE_API_KEY";
    options.api_key = getenv(variable);
    if (options.api_key == NULL) {
        fprintf(stderr, "chat: %s is not set\n", variable);
        return 2;
    }
    options.provider = argv[1];
    options.base_url = argc > 4 ? argv[4] : NULL;
    options.collateral_url = argc > 5 ? argv[5] : NULL;
    if (argc > 6 && (roots = read_roots(argv[6], &error)) == NULL) {
        if (error != NULL) return explain(error);
        fprintf(stderr, "chat: the trust roots cannot be read\n");
        return 2;
    }
    options.trust_roots = roots;
    body = request(argv[2], argv[3]);
    code = body == NULL ? 1 : chat(&options, body);
    free(body);
    pv_trust_roots_free(roots);
    return code;
}
