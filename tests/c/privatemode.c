/* Privatemode against its simulator: every endpoint round, refusals and broken answers with their own codes. */
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <unistd.h>

#include "sim.h"

#define CHATTER "sim-kimi-2"
#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"What is a sealed room?\"}]"
#define CHAT "{\"model\":\"" CHATTER "\"," MESSAGES "}"
#define STREAMED "{\"model\":\"" CHATTER "\",\"stream\":true," MESSAGES "}"
#define EMBED "{\"model\":\"sim-embedding-4b\",\"input\":[\"one\",\"two\"],\"dimensions\":4}"
#define FORM_TYPE "multipart/form-data; boundary=edge"

static pv_trust_roots *roots;

static pv_client_options settings(void) {
    pv_client_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.provider = "privatemode";
    options.api_key = KEY;
    options.base_url = setting("PV_SIM_BASE_URL");
    options.amd_url = setting("PV_SIM_AMD_URL");
    options.trust_roots = roots;
    options.proxy = "none";
    return options;
}

static pv_client *client_with(const pv_client_options *options) {
    pv_client *client = NULL;
    STATUS(PV_OK, pv_client_new(options, &client, NULL));
    return client;
}

static pv_client *plain_client(void) {
    const pv_client_options options = settings();
    return client_with(&options);
}

/* What a stream said, by kind, its texts one after the other, and how it ended. */
typedef struct {
    size_t counts[6];
    char texts[65536];
    char first_name[65];
    pv_status end;
} answer;

static answer read_whole(pv_stream *stream) {
    static answer found;
    size_t length = 0;
    memset(&found, 0, sizeof found);
    for (;;) {
        pv_events *events = NULL;
        size_t i;
        found.end = pv_stream_next(stream, 30000, NULL, &events, NULL);
        if (events == NULL) break;
        for (i = 0; i < pv_events_count(events); i++) {
            const char *text = NULL;
            const char *name = NULL;
            size_t more = 0;
            int32_t kind = 0;
            STATUS(PV_OK, pv_events_get(events, i, &kind, NULL, &text, &more, NULL));
            STATUS(PV_OK, pv_events_name(events, i, &name, NULL));
            CHECK(name != NULL && strlen(name) < sizeof found.first_name);
            if (length == 0 && name != NULL) strncpy(found.first_name, name, sizeof found.first_name - 1);
            CHECK(kind >= 1 && kind <= PV_EVENT_DOCUMENT);
            if (kind < 1 || kind > PV_EVENT_DOCUMENT) continue;
            found.counts[kind]++;
            if (length + more >= sizeof found.texts) continue;
            memcpy(found.texts + length, text, more);
            length += more;
        }
        STATUS(PV_ERR_INVALID_ARGUMENT, pv_events_name(events, i, NULL, NULL));
        STATUS(PV_OK, pv_events_free(events));
    }
    STATUS(PV_OK, pv_stream_free(stream));
    return found;
}

static pv_stream *sent(const pv_client *client, const char *path, const char *body) {
    pv_stream *stream = NULL;
    pv_error *error = NULL;
    STATUS(PV_OK, pv_client_send(client, path, pv_bytes_from_text(body), NULL, 30000, NULL, &stream, &error));
    show(error);
    return stream;
}

static pv_stream *chatted(const pv_client *client, const char *body) {
    pv_stream *stream = NULL;
    pv_error *error = NULL;
    STATUS(PV_OK, pv_client_chat(client, pv_bytes_from_text(body), 30000, NULL, &stream, &error));
    show(error);
    return stream;
}

static void put32(unsigned char *place, uint32_t value) {
    int i;
    for (i = 0; i < 4; i++) place[i] = (unsigned char)(value >> (8 * i));
}

/* An upload of a tenth of a second of silence, 8-bit mono at 8 kHz; the form's length. */
static size_t upload(unsigned char *out, size_t room) {
    static const char FRONT[] = "--edge\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/sim-whisper-3\r\n"
                                "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
                                "Content-Type: audio/wav\r\n\r\n";
    static const char BACK[] = "\r\n--edge--\r\n";
    const size_t front = sizeof FRONT - 1, back = sizeof BACK - 1;
    unsigned char *wav = out + front;
    CHECK(front + 844 + back <= room);
    memcpy(out, FRONT, front);
    memcpy(wav, "RIFF\0\0\0\0WAVEfmt \20\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0\1\0\10\0data", 40);
    put32(wav + 4, 836);
    put32(wav + 24, 8000);
    put32(wav + 28, 8000);
    put32(wav + 40, 800);
    memset(wav + 44, 0x80, 800);
    memcpy(wav + 844, BACK, back);
    return front + 844 + back;
}

static void chats(const pv_client *client) {
    pv_buf models;
    answer found;
    STATUS(PV_OK, pv_client_models_json(client, 30000, NULL, &models, NULL));
    CHECK(strstr((const char *)models.data, CHATTER) != NULL);
    STATUS(PV_OK, pv_buf_free(&models));
    found = read_whole(chatted(client, CHAT));
    CHECK(found.end == PV_OK && found.counts[PV_EVENT_CONTENT] == 1 && found.counts[PV_EVENT_FINISH] == 1);
    found = read_whole(chatted(client, STREAMED));
    CHECK(found.end == PV_OK && found.counts[PV_EVENT_CONTENT] > 1 && found.counts[PV_EVENT_DOCUMENT] == 0);
}

static void other_endpoints(const pv_client *client) {
    unsigned char form[2048];
    const pv_bytes upload_of = {form, upload(form, sizeof form)};
    pv_buf json;
    pv_error *error = NULL;
    pv_stream *stream = NULL;
    answer found;
    STATUS(PV_OK, pv_client_embeddings(client, pv_bytes_from_text(EMBED), 30000, NULL, &json, &error));
    show(error);
    CHECK(strstr((const char *)json.data, "\"embedding\":[") != NULL);
    STATUS(PV_OK, pv_buf_free(&json));
    STATUS(PV_OK, pv_client_transcriptions(client, upload_of, FORM_TYPE, 30000, NULL, &json, &error));
    show(error);
    CHECK(strstr((const char *)json.data, "A recording of 844 bytes") != NULL);
    STATUS(PV_OK, pv_buf_free(&json));

    found = read_whole(sent(client, "/v1/messages", "{\"max_tokens\":64,\"model\":\"" CHATTER "\"," MESSAGES "}"));
    CHECK(found.end == PV_OK && found.counts[PV_EVENT_DOCUMENT] == 1 && strstr(found.texts, "\"content\":[") != NULL);
    found = read_whole(sent(client, "/v1/messages", "{\"max_tokens\":64,\"stream\":true,\"model\":\"" CHATTER "\"," MESSAGES "}"));
    CHECK(found.end == PV_OK && found.counts[PV_EVENT_DOCUMENT] > 3 && strstr(found.texts, "message_start") != NULL);
    CHECK(strcmp(found.first_name, "message_start") == 0);
    found = read_whole(sent(client, "/v1/chat/completions", CHAT));
    CHECK(found.end == PV_OK && found.counts[PV_EVENT_DOCUMENT] == 1 && found.counts[PV_EVENT_CONTENT] == 0);

    error = NULL;
    FAILS(PV_ERR_UNSUPPORTED_ENDPOINT, pv_client_send(client, "/v1/files", pv_bytes_from_text("{}"), NULL, 0, NULL, &stream, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_client_send(client, NULL, pv_bytes_from_text("{}"), NULL, 0, NULL, &stream, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_client_transcriptions(client, upload_of, NULL, 0, NULL, &json, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_client_embeddings(client, pv_bytes_from_text(EMBED), 0, NULL, NULL, &error));
    FAILS(PV_ERR_MALFORMED_REQUEST, pv_client_embeddings(client, pv_bytes_from_text("{"), 0, NULL, &json, &error));
    CHECK(stream == NULL && json.data == NULL);
}

/* Sealed here, and sent by somebody else. */
static void sealed_by_hand(const pv_client *client) {
    pv_endpoint *endpoint = NULL;
    pv_sealed *sealed = NULL;
    pv_opener *opener = NULL;
    pv_http_request *request = NULL;
    pv_error *error = NULL;
    uint64_t end;
    STATUS(PV_OK, pv_client_ready(client, "sim-embedding-4b", 30000, NULL, &endpoint, NULL));
    STATUS(PV_OK, pv_endpoint_seal_request(endpoint, "/v1/embeddings", pv_bytes_from_text(EMBED), NULL, PV_NOW, &sealed, &opener, NULL));
    STATUS(PV_OK, pv_sealed_request(sealed, &request, NULL));
    CHECK(strstr(pv_http_request_url(request), "/v1/embeddings") != NULL);
    CHECK(pv_http_request_body(request).len > strlen(EMBED));
    STATUS(PV_OK, pv_http_request_free(request));
    STATUS(PV_OK, pv_sealed_free(sealed));
    STATUS(PV_OK, pv_opener_free(opener));
    end = pv_endpoint_not_after(endpoint);
    FAILS(PV_ERR_PROOF_EXPIRED, pv_endpoint_seal_request(endpoint, "/v1/embeddings", pv_bytes_from_text(EMBED), NULL, end, &sealed, &opener, &error));
    FAILS(PV_ERR_UNSUPPORTED_ENDPOINT, pv_endpoint_seal_request(endpoint, "/v1/files", pv_bytes_from_text(EMBED), NULL, PV_NOW, &sealed, &opener, &error));
    CHECK(sealed == NULL && opener == NULL);
    STATUS(PV_OK, pv_endpoint_free(endpoint));
}

static void broken(void) {
    static const struct {
        const char *defect;
        pv_status refused, ended;
    } CASES[] = {
        {"defects report-tampered", PV_ERR_SNP_SIGNATURE, PV_OK},
        {"defects manifest-other", PV_ERR_MANIFEST_MISMATCH, PV_OK},
        {"defects attest-down", PV_ERR_ATTESTATION_UNAVAILABLE, PV_OK},
        {"defects stream-cut", PV_OK, PV_ERR_TRUNCATED},
        {"defects clear-content", PV_OK, PV_ERR_NOT_CIPHERTEXT},
        {"defects field-reflected", PV_OK, PV_ERR_REFLECTED_FIELD},
    };
    size_t i;
    for (i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        pv_client *client = plain_client();
        pv_stream *stream = NULL;
        tell(CASES[i].defect);
        STATUS(CASES[i].refused, pv_client_send(client, "/v1/chat/completions", pv_bytes_from_text(STREAMED), NULL, 30000, NULL, &stream, NULL));
        CHECK((stream == NULL) == (CASES[i].refused != PV_OK));
        if (stream != NULL) STATUS(CASES[i].ended, read_whole(stream).end);
        STATUS(PV_OK, pv_client_free(client));
    }
    tell("defects");
}

static pv_report *report_with(const pv_client_options *options) {
    pv_client *client = client_with(options);
    pv_report *report = NULL;
    STATUS(PV_OK, pv_client_verify(client, CHATTER, 30000, NULL, &report, NULL));
    STATUS(PV_OK, pv_client_free(client));
    return report;
}

static void settings_count(void) {
    pv_client_options options = settings();
    pv_exchange_options verified;
    pv_exchange *exchange = NULL;
    pv_http_request *request = NULL;
    pv_client *client = NULL;
    pv_report *report;
    pv_error *error = NULL;
    answer found;
    options.manifest = pv_bytes_from_text(setting("PV_SIM_MANIFEST"));
    options.manifest_url = setting("PV_SIM_BASE_URL");
    report = report_with(&options);
    CHECK(pv_report_verdict(report) == PV_VERDICT_VERIFIED && pv_report_level(report) == PV_LEVEL_L3);
    STATUS(PV_OK, pv_report_free(report));
    options.manifest.len--;
    report = report_with(&options);
    CHECK(pv_report_verdict(report) == PV_VERDICT_REFUSED && pv_report_code(report) != NULL);
    STATUS(PV_OK, pv_report_free(report));
    options = settings();
    options.workspace = "/dev/null/workspace";
    report = report_with(&options);
    CHECK(pv_report_verdict(report) == PV_VERDICT_VERIFIED);
    STATUS(PV_OK, pv_report_free(report));
    options = settings();
    options.key_service_name = "elsewhere.example";
    report = report_with(&options);
    CHECK(pv_report_verdict(report) == PV_VERDICT_REFUSED);
    STATUS(PV_OK, pv_report_free(report));

    options = settings();
    options.cache_salt = "short";
    FAILS(PV_ERR_CACHE_SALT, pv_client_new(&options, &client, &error));
    options.cache_salt = "canary-salt-of-thirty-two-bytes-!";
    options.gpu_revocation_grace_s = UINT64_C(4000000000);
    tell("defects gpu-revoked");
    client = client_with(&options);
    found = read_whole(chatted(client, CHAT));
    CHECK(found.end == PV_OK && found.counts[PV_EVENT_CONTENT] == 1);
    STATUS(PV_OK, pv_client_free(client));
    tell("defects");
    /* Programs that know nothing of Privatemode. */
    options = settings();
    options.struct_size = offsetof(pv_client_options, manifest);
    client = client_with(&options);
    STATUS(PV_OK, pv_client_free(client));

    memset(&verified, 0, sizeof verified);
    verified.struct_size = sizeof verified;
    verified.provider = "privatemode";
    verified.model = CHATTER;
    verified.api_key = KEY;
    verified.base_url = setting("PV_SIM_BASE_URL");
    verified.manifest = pv_bytes_from_text(setting("PV_SIM_MANIFEST"));
    STATUS(PV_OK, pv_exchange_new(&verified, &exchange, NULL));
    STATUS(PV_OK, pv_exchange_next(exchange, PV_NOW, &request, NULL));
    CHECK(strcmp(pv_http_request_purpose(request), "attestation") == 0); /* The manifest is there already. */
    STATUS(PV_OK, pv_http_request_free(request));
    STATUS(PV_OK, pv_exchange_free(exchange));
    verified.cache_salt = "short";
    FAILS(PV_ERR_CACHE_SALT, pv_exchange_new(&verified, &exchange, &error));
}

int main(void) {
    pv_client *client;
    alarm(300); /* A hang ends here, by a signal. */
    roots = sim_roots();
    client = plain_client();
    chats(client);
    other_endpoints(client);
    sealed_by_hand(client);
    STATUS(PV_OK, pv_client_free(client));
    broken();
    settings_count();
    STATUS(PV_OK, pv_trust_roots_free(roots));
    return finish();
}
