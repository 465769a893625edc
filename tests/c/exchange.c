/* Verification, sealing and opening with a transport of the caller's: here HTTP/1.0 over a loopback socket. What was captured on the
 * way is then judged again offline. */
#define _POSIX_C_SOURCE 200809L
#include <netinet/in.h>
#include <stdint.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim.h"

#define ANSWER_MAX (4u << 20)

/* A whole answer; `body` points into `raw`. */
typedef struct {
    char *raw;
    unsigned status;
    pv_header headers[64];
    size_t header_count;
    pv_bytes body;
} answer;

static void send_all(int link, const void *data, size_t len) {
    const char *next = data;
    while (len > 0) {
        const ssize_t sent = write(link, next, len);
        if (sent <= 0) exit(3);
        next += sent;
        len -= (size_t)sent;
    }
}

/* Sends a request to http://127.0.0.1:PORT/... and reads the answer to its end. */
static answer fetch(const pv_http_request *request) {
    const char *rest = strstr(pv_http_request_url(request), "127.0.0.1:");
    const pv_bytes body = pv_http_request_body(request);
    struct sockaddr_in address;
    answer got;
    char line[4096], *path, *text;
    size_t i, len = 0;
    int link = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t n;
    memset(&got, 0, sizeof got);
    memset(&address, 0, sizeof address);
    CHECK(pv_http_request_tls_rule(request) == PV_TLS_PUBLIC_CA);
    if (rest == NULL) exit(3);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)strtoul(rest + strlen("127.0.0.1:"), &path, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(link, (struct sockaddr *)&address, sizeof address) != 0) exit(3);
    snprintf(line, sizeof line, "%s %s HTTP/1.0\r\nhost: 127.0.0.1\r\ncontent-length: %zu\r\n",
             pv_http_request_method(request), path, body.len);
    send_all(link, line, strlen(line));
    for (i = 0; i < pv_http_request_header_count(request); i++) {
        snprintf(line, sizeof line, "%s: %s\r\n", pv_http_request_header_name(request, i),
                 pv_http_request_header_value(request, i));
        CHECK(pv_http_request_header_sensitive(request, i) == (strstr(line, KEY) != NULL));
        send_all(link, line, strlen(line));
    }
    send_all(link, "\r\n", 2);
    send_all(link, body.data, body.len);

    got.raw = malloc(ANSWER_MAX + 1);
    while ((n = read(link, got.raw + len, ANSWER_MAX - len)) > 0) len += (size_t)n;
    close(link);
    CHECK(len <= pv_http_request_max_response_bytes(request) + 8192);
    got.raw[len] = '\0';
    text = strstr(got.raw, "\r\n\r\n");
    if (text == NULL) exit(3);
    *text = '\0';
    got.body.data = (const uint8_t *)text + 4;
    got.body.len = len - (size_t)(text + 4 - got.raw);
    got.status = (unsigned)strtoul(got.raw + strlen("HTTP/1.x "), NULL, 10);
    for (text = strstr(got.raw, "\r\n"); text != NULL && got.header_count < 64; text = strstr(text, "\r\n")) {
        char *colon;
        *text = '\0';
        text += 2;
        colon = strchr(text, ':');
        if (colon == NULL) break;
        *colon = '\0';
        got.headers[got.header_count].name = text;
        got.headers[got.header_count++].value = colon + 1 + strspn(colon + 1, " ");
        text = colon + 1;
    }
    return got;
}

static int contains(pv_bytes bytes, const char *text) {
    const size_t len = strlen(text);
    size_t at;
    for (at = 0; at + len <= bytes.len; at++) {
        if (memcmp(bytes.data + at, text, len) == 0) return 1;
    }
    return 0;
}

/* Keeps what was captured, for the test of examples/c/verify.c. */
static void save(const char *name, const pv_buf *buf) {
    char path[4096];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", setting("PV_SIM_OUT"), name);
    file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(buf->data, 1, buf->len, file) == buf->len && fclose(file) == 0);
}

static pv_exchange *start(const pv_trust_roots *roots, const pv_policy *policy, const pv_buf *said) {
    pv_bytes document;
    pv_exchange_options options;
    pv_exchange *exchange = NULL;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.provider = "venice";
    options.model = MODEL;
    options.api_key = KEY;
    options.base_url = setting("PV_SIM_BASE_URL");
    options.collateral_url = setting("PV_SIM_COLLATERAL_URL");
    options.nvidia_url = setting("PV_SIM_NVIDIA_URL");
    options.trust_roots = roots;
    options.policy = policy;
    if (said != NULL) {
        document.data = said->data;
        document.len = said->len;
        options.endorsements = &document;
        options.endorsements_count = 1;
    }
    STATUS(PV_OK, pv_exchange_new(&options, &exchange, NULL));
    return exchange;
}

/* Gives the number of requests to NVIDIA. */
static size_t run(pv_exchange *exchange) {
    pv_http_request *request = NULL;
    pv_error *error = NULL;
    size_t asked = 0;
    while (pv_exchange_next(exchange, PV_NOW, &request, &error) == PV_OK && request != NULL) {
        answer got = fetch(request);
        CHECK(strlen(pv_http_request_purpose(request)) > 0);
        asked += strncmp(pv_http_request_purpose(request), "NVIDIA ", 7) == 0;
        STATUS(PV_OK, pv_exchange_feed(exchange, got.status, got.headers, got.header_count, got.body, &error));
        STATUS(PV_OK, pv_http_request_free(request));
        free(got.raw);
    }
    show(error);
    return asked;
}

/* A policy that asks NVIDIA; what it said once is not asked for again. */
static void endorsements(const pv_trust_roots *roots) {
    static const char rules[] =
        "{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"require_rim\":true,\"require_ocsp\":true}}";
    pv_policy *policy = NULL;
    pv_exchange *exchange;
    pv_endpoint *endpoint = NULL;
    pv_exchange_options wrong;
    pv_error *error = NULL;
    pv_bytes text;
    pv_buf said, again;
    STATUS(PV_OK, pv_policy_from_json(pv_bytes_from_text(rules), &policy, &error));
    exchange = start(roots, policy, NULL);
    STATUS(PV_OK, pv_exchange_endorsements_json(exchange, &said, &error));
    CHECK(said.len == 0);
    CHECK(run(exchange) > 4);
    STATUS(PV_OK, pv_exchange_endpoint(exchange, &endpoint, &error));
    STATUS(PV_OK, pv_endpoint_free(endpoint));
    STATUS(PV_OK, pv_exchange_endorsements_json(exchange, &said, &error));
    CHECK(said.len > 1000);
    STATUS(PV_OK, pv_exchange_free(exchange));

    exchange = start(roots, policy, &said);
    CHECK(run(exchange) == 0);
    STATUS(PV_OK, pv_exchange_endpoint(exchange, &endpoint, &error));
    STATUS(PV_OK, pv_endpoint_free(endpoint));
    STATUS(PV_OK, pv_exchange_endorsements_json(exchange, &again, &error));
    CHECK(again.len == 0);
    STATUS(PV_OK, pv_exchange_free(exchange));

    memset(&wrong, 0, sizeof wrong);
    wrong.struct_size = sizeof wrong;
    wrong.provider = "venice";
    wrong.model = MODEL;
    wrong.api_key = KEY;
    text = pv_bytes_from_text("{}");
    wrong.endorsements = &text;
    wrong.endorsements_count = 1;
    FAILS(PV_ERR_COLLATERAL_MALFORMED, pv_exchange_new(&wrong, &exchange, &error));
    STATUS(PV_OK, pv_buf_free(&said));
    STATUS(PV_OK, pv_policy_free(policy));
}

/* What was captured gives the same verdict offline; one byte changed does not. */
static void judge_again(const pv_exchange *exchange, const pv_trust_roots *roots) {
    pv_evidence_input input;
    pv_buf response, nonce, collateral[4], models;
    pv_bytes documents[4];
    pv_report *report = NULL;
    pv_error *error = NULL;
    uint8_t other[32];
    size_t i, count = pv_exchange_collateral_count(exchange);
    CHECK(count >= 1 && count <= 4);
    STATUS(PV_OK, pv_exchange_evidence(exchange, &response, &nonce, &error));
    STATUS(PV_OK, pv_exchange_model_list(exchange, &models, &error));
    CHECK(models.len > 0);
    for (i = 0; i < count; i++) {
        STATUS(PV_OK, pv_exchange_collateral_json(exchange, i, &collateral[i], &error));
        documents[i].data = collateral[i].data;
        documents[i].len = collateral[i].len;
    }
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_exchange_collateral_json(exchange, count, &collateral[3], &error));
    save("response.json", &response);
    save("nonce", &nonce);
    save("collateral.json", &collateral[0]);

    memset(&input, 0, sizeof input);
    input.struct_size = sizeof input;
    input.provider = "venice";
    input.model = MODEL;
    input.response.data = response.data;
    input.response.len = response.len;
    input.nonce.data = nonce.data;
    input.nonce.len = nonce.len;
    input.collateral = documents;
    input.collateral_count = count;
    input.trust_roots = roots;
    STATUS(PV_OK, pv_verify_evidence(&input, &report, &error));
    CHECK(pv_report_verdict(report) == PV_VERDICT_VERIFIED);
    STATUS(PV_OK, pv_report_free(report));

    memcpy(other, nonce.data, 32);
    other[31] ^= 1;
    input.nonce.data = other;
    STATUS(PV_OK, pv_verify_evidence(&input, &report, &error));
    CHECK(pv_report_verdict(report) == PV_VERDICT_REFUSED && strcmp(pv_report_code(report), "PV-201") == 0);
    STATUS(PV_OK, pv_report_free(report));
    input.nonce.data = nonce.data;
    input.trust_roots = NULL;
    STATUS(PV_OK, pv_verify_evidence(&input, &report, &error));
    CHECK(pv_report_verdict(report) == PV_VERDICT_REFUSED);
    STATUS(PV_OK, pv_report_free(report));
    input.nonce.len = 31;
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_verify_evidence(&input, &report, &error));

    STATUS(PV_OK, pv_buf_free(&response));
    STATUS(PV_OK, pv_buf_free(&nonce));
    STATUS(PV_OK, pv_buf_free(&models));
    for (i = 0; i < count; i++) STATUS(PV_OK, pv_buf_free(&collateral[i]));
}

/* Seals, sends, opens the answer in pieces of seven bytes, and checks its signature. */
static void chat(const pv_endpoint *endpoint) {
    static const char body[] =
        "{\"model\":\"" MODEL "\",\"messages\":[{\"role\":\"user\",\"content\":\"canary question 7d21\"}]}";
    pv_sealed *sealed = NULL;
    pv_opener *opener = NULL;
    pv_http_request *request = NULL;
    pv_receipt *receipt = NULL;
    pv_events *events = NULL;
    pv_error *error = NULL;
    answer got;
    size_t at, pieces = 0;
    int32_t verdict = 0;
    FAILS(PV_ERR_TOOLS, pv_endpoint_seal(endpoint, pv_bytes_from_text("{\"model\":\"" MODEL "\",\"messages\":[{\"role\":"
                                         "\"user\",\"content\":\"x\"}],\"tools\":[]}"), PV_NOW, &sealed, &opener, &error));
    FAILS(PV_ERR_PROOF_EXPIRED, pv_endpoint_seal(endpoint, pv_bytes_from_text(body), pv_endpoint_not_after(endpoint),
                                                 &sealed, &opener, &error));
    CHECK(sealed == NULL && opener == NULL);
    STATUS(PV_OK, pv_endpoint_seal(endpoint, pv_bytes_from_text(body), PV_NOW, &sealed, &opener, &error));
    STATUS(PV_OK, pv_sealed_request(sealed, &request, &error));
    STATUS(PV_OK, pv_sealed_free(sealed));
    CHECK(strcmp(pv_http_request_method(request), "POST") == 0);
    CHECK(!contains(pv_http_request_body(request), "canary") && contains(pv_http_request_body(request), MODEL));
    got = fetch(request);
    STATUS(PV_OK, pv_http_request_free(request));

    STATUS(PV_OK, pv_opener_head(opener, got.status, got.headers, got.header_count, &error));
    for (at = 0; at < got.body.len; at += 7) {
        pv_bytes piece;
        piece.data = got.body.data + at;
        piece.len = got.body.len - at < 7 ? got.body.len - at : 7;
        STATUS(PV_OK, pv_opener_push(opener, piece, &events, &error));
        pieces += pv_events_count(events);
        pv_events_free(events);
    }
    STATUS(PV_OK, pv_opener_finish(opener, &events, &receipt, &error));
    pv_events_free(events);
    CHECK(pieces > 2 && pv_receipt_sealed_fields(receipt) > 1 && pv_receipt_id(receipt) != NULL);
    CHECK(pv_receipt_body_bytes(receipt) == got.body.len && pv_receipt_ignored_bytes(receipt) == 0);
    free(got.raw);

    STATUS(PV_OK, pv_endpoint_signature_request(endpoint, receipt, &request, &error));
    got = fetch(request);
    STATUS(PV_OK, pv_endpoint_check_signature(endpoint, receipt, got.status, got.headers, got.header_count, got.body,
                                              &verdict, &error));
    show(error);
    CHECK(verdict == PV_SIGNATURE_BODY_MATCHES || verdict == PV_SIGNATURE_SIGNED_BODY_NOT_VERIFIABLE);
    free(got.raw);
    STATUS(PV_OK, pv_http_request_free(request));
    STATUS(PV_OK, pv_receipt_free(receipt));
    STATUS(PV_OK, pv_opener_free(opener));
}

int main(void) {
    pv_trust_roots *roots = sim_roots();
    pv_exchange *exchange = start(roots, NULL, NULL);
    pv_endpoint *endpoint = NULL;
    pv_report *report = NULL;
    pv_error *error = NULL;
    pv_buf response, nonce;
    FAILS(PV_ERR_OUT_OF_ORDER, pv_exchange_endpoint(exchange, &endpoint, &error));
    FAILS(PV_ERR_OUT_OF_ORDER, pv_exchange_report(exchange, &report, &error));
    FAILS(PV_ERR_OUT_OF_ORDER, pv_exchange_evidence(exchange, &response, &nonce, &error));
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_exchange_fail(exchange, 99, &error));
    run(exchange);
    STATUS(PV_OK, pv_exchange_report(exchange, &report, &error));
    CHECK(pv_report_verdict(report) == PV_VERDICT_VERIFIED);
    STATUS(PV_OK, pv_report_free(report));
    STATUS(PV_OK, pv_exchange_endpoint(exchange, &endpoint, &error));
    judge_again(exchange, roots);
    STATUS(PV_OK, pv_exchange_free(exchange));
    chat(endpoint);
    STATUS(PV_OK, pv_endpoint_report(endpoint, &report, &error));
    STATUS(PV_OK, pv_report_free(report));
    STATUS(PV_OK, pv_endpoint_free(endpoint));

    /* Without the simulator's roots the same evidence is refused: no endpoint, and the error carries the report. */
    exchange = start(NULL, NULL, NULL);
    run(exchange);
    STATUS(PV_ERR_PCK_CHAIN, pv_exchange_endpoint(exchange, &endpoint, &error));
    CHECK(endpoint == NULL && strstr(pv_error_report_json(error), "\"refused\"") != NULL);
    STATUS(PV_OK, pv_error_free(error));
    STATUS(PV_OK, pv_exchange_free(exchange));

    /* A transport that fails: could not be checked. */
    exchange = start(roots, NULL, NULL);
    {
        pv_http_request *request = NULL;
        int i;
        for (i = 0; i < 20 && pv_exchange_next(exchange, PV_NOW, &request, &error) == PV_OK && request != NULL; i++) {
            STATUS(PV_OK, pv_http_request_free(request));
            STATUS(PV_OK, pv_exchange_fail(exchange, PV_TRANSPORT_FAILURE_CONNECT, NULL));
        }
        if (error == NULL) pv_exchange_endpoint(exchange, &endpoint, &error);
        CHECK(pv_error_class(error) == PV_CLASS_INDETERMINATE);
        STATUS(PV_OK, pv_error_free(error));
    }
    STATUS(PV_OK, pv_exchange_free(exchange));
    endorsements(roots);
    STATUS(PV_OK, pv_trust_roots_free(roots));
    return finish();
}
