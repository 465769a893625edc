/* Every way of calling that the header forbids gives its PV-7xx code and nothing else: no crash, no output, no leak (T60, T61, T65).
 * Also run under valgrind and AddressSanitizer. */
#include <limits.h>
#include <stdlib.h>

#include "check.h"

static pv_error *error;
static const char KEY[32] = {1};

static pv_bytes raw(const void *data, size_t len) {
    pv_bytes bytes;
    bytes.data = (const uint8_t *)data;
    bytes.len = len;
    return bytes;
}

/* A handle of every type that can be had without evidence. */
static pv_policy *policy(void) {
    pv_policy *made = NULL;
    STATUS(PV_OK, pv_policy_preset("standard", &made, &error));
    return made;
}

static pv_opener *opener(void) {
    pv_opener *made = NULL;
    STATUS(PV_OK, pv_opener_for_key(raw(KEY, sizeof KEY), 0, &made, &error));
    return made;
}

/* Required pointers that are NULL. Outputs beside them are cleared. */
static void null_pointers(void) {
    pv_opener *answer = opener();
    pv_policy *some = (pv_policy *)answer;
    pv_sealed *sealed = (pv_sealed *)answer;
    pv_receipt *receipt = (pv_receipt *)answer;
    pv_events *events = (pv_events *)answer;
    pv_buf buf = {(const uint8_t *)"x", 1, NULL};
    int32_t verdict = 7;

    FAILS(PV_ERR_NULL_POINTER, pv_policy_from_json(pv_bytes_from_text("{}"), NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_policy_preset(NULL, &some, &error));
    CHECK(some == NULL);
    FAILS(PV_ERR_NULL_POINTER, pv_policy_preset("standard", NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_trust_roots_from_json(raw("{}", 2), NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_verify_evidence(NULL, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_client_new(NULL, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_exchange_new(NULL, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_exchange_next(NULL, PV_NOW, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_exchange_feed(NULL, 200, NULL, 0, raw(NULL, 0), &error));
    FAILS(PV_ERR_NULL_POINTER, pv_exchange_fail(NULL, PV_TRANSPORT_FAILURE_CONNECT, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_endpoint_seal(NULL, raw("{}", 2), PV_NOW, NULL, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_endpoint_seal(NULL, raw("{}", 2), PV_NOW, &sealed, NULL, &error));
    CHECK(sealed == NULL);
    FAILS(PV_ERR_NULL_POINTER, pv_endpoint_check_signature(NULL, NULL, 200, NULL, 0, raw(NULL, 0), &verdict, &error));
    CHECK(verdict == 0);
    FAILS(PV_ERR_NULL_POINTER, pv_opener_head(NULL, 200, NULL, 0, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_opener_head(answer, 200, NULL, 2, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_opener_push(answer, raw("x", 1), NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_opener_finish(answer, NULL, &receipt, &error));
    CHECK(receipt == NULL);
    FAILS(PV_ERR_NULL_POINTER, pv_events_get(NULL, 0, NULL, NULL, NULL, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_events_name(NULL, 0, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_inspect(NULL, raw("{}", 2), &buf, &error));
    CHECK(buf.data == NULL && buf.len == 0 && buf.owner == NULL);
    FAILS(PV_ERR_NULL_POINTER, pv_open_field(raw(KEY, 32), raw("00", 2), NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_client_chat(NULL, raw("{}", 2), 0, NULL, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_stream_next(NULL, 0, NULL, &events, &error));
    CHECK(events == NULL);
    FAILS(PV_ERR_NULL_POINTER, pv_cancel_new(NULL, &error));
    STATUS(PV_ERR_NULL_POINTER, pv_cancel_trigger(NULL));
    CHECK(pv_bytes_from_text(NULL).data == NULL && pv_bytes_from_text(NULL).len == 0);

    /* NULL data with a length; NULL data without one is empty. */
    FAILS(PV_ERR_NULL_POINTER, pv_policy_from_json(raw(NULL, 5), &some, &error));
    FAILS(PV_ERR_POLICY_INVALID, pv_policy_from_json(raw(NULL, 0), &some, &error));
    FAILS(PV_ERR_POLICY_INVALID, pv_policy_from_json(raw("x", 0), &some, &error));
    /* Without a place for the error the number is still there. */
    STATUS(PV_ERR_NULL_POINTER, pv_policy_preset(NULL, &some, NULL));
    STATUS(PV_OK, pv_opener_free(answer));
}

static void lengths(void) {
    const size_t huge[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1};
    pv_policy *made = NULL;
    pv_opener *answer = opener();
    pv_events *events = NULL;
    pv_buf buf;
    size_t i;
    for (i = 0; i < sizeof huge / sizeof *huge; i++) {
        FAILS(PV_ERR_INVALID_LENGTH, pv_policy_from_json(raw("{}", huge[i]), &made, &error));
        FAILS(PV_ERR_INVALID_LENGTH, pv_opener_push(answer, raw("{}", huge[i]), &events, &error));
        FAILS(PV_ERR_INVALID_LENGTH, pv_seal_field(raw("{}", huge[i]), raw("", 0), &buf, &error));
        FAILS(PV_ERR_LIMIT_EXCEEDED, pv_opener_head(answer, 200, (const pv_header *)"", huge[i], &error));
    }
    /* Plausible lengths above the documented bound are refused before a byte is read. */
    FAILS(PV_ERR_LIMIT_EXCEEDED, pv_policy_from_json(raw("{}", (size_t)1 << 30), &made, &error));
    FAILS(PV_ERR_LIMIT_EXCEEDED, pv_opener_push(answer, raw("{}", (size_t)1 << 30), &events, &error));
    STATUS(PV_OK, pv_opener_free(answer));
    /* A fixed length is exact. */
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_opener_for_key(raw(KEY, 31), 0, &answer, &error));
    CHECK(answer == NULL);
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_open_field(raw(KEY, 0), raw("00", 2), &buf, &error));
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_opener_for_key(raw(KEY, 32), 0x80000000u, &answer, &error));
}

static void texts(void) {
    pv_policy *made = NULL;
    pv_buf buf;
    char *endless = malloc(100000);
    FAILS(PV_ERR_INVALID_TEXT, pv_policy_preset("\xff\xfe", &made, &error));
    FAILS(PV_ERR_INVALID_TEXT, pv_policy_preset("stand\xc3", &made, &error));
    FAILS(PV_ERR_INVALID_TEXT, pv_inspect("\xed\xa0\x80", raw("{}", 2), &buf, &error));
    FAILS(PV_ERR_POLICY_INVALID, pv_policy_preset("", &made, &error));
    FAILS(PV_ERR_INVALID_TEXT, pv_open_field(raw(KEY, 32), raw("\xff", 1), &buf, &error));
    memset(endless, 'a', 99999);
    endless[99999] = 0;
    FAILS(PV_ERR_INVALID_TEXT, pv_policy_preset(endless, &made, &error));
    free(endless);
    /* A NUL inside a document is content, and not valid there. */
    FAILS(PV_ERR_POLICY_INVALID, pv_policy_from_json(raw("{}\0", 3), &made, &error));
}

/* Double free, use after free, wrong type, numbers that never were handles. */
static void handles(void) {
    pv_policy *made = policy();
    pv_policy *again;
    pv_opener *answer = opener();
    pv_report *report = NULL;
    pv_http_request *request = NULL;
    int on_stack = 0;
    void *never[4];
    size_t i;
    never[0] = (void *)(uintptr_t)1;
    never[1] = &on_stack;
    never[2] = (void *)(uintptr_t)SIZE_MAX;
    never[3] = (void *)((uintptr_t)made ^ ((uintptr_t)1 << 30));

    CHECK(pv_live_handles() == 2);
    STATUS(PV_ERR_WRONG_HANDLE_TYPE, pv_report_free((pv_report *)made));
    STATUS(PV_ERR_WRONG_HANDLE_TYPE, pv_policy_free((pv_policy *)answer));
    FAILS(PV_ERR_WRONG_HANDLE_TYPE, pv_exchange_next((pv_exchange *)made, PV_NOW, &request, &error));
    FAILS(PV_ERR_WRONG_HANDLE_TYPE, pv_endpoint_report((pv_endpoint *)answer, &report, &error));
    CHECK(pv_report_text((pv_report *)made) == NULL);
    CHECK(pv_report_html((pv_report *)made) == NULL && pv_report_svg(NULL) == NULL);
    CHECK(pv_report_ear_json((pv_report *)made) == NULL);
    CHECK(pv_report_verdict((pv_report *)made) == PV_VERDICT_NONE);
    CHECK(pv_report_level((pv_report *)made) == PV_LEVEL_NONE);
    CHECK(pv_http_request_tls_rule((pv_http_request *)made) == 0);
    CHECK(pv_error_message((pv_error *)made) == NULL);
    CHECK(pv_live_handles() == 2);

    for (i = 0; i < sizeof never / sizeof *never; i++) {
        STATUS(PV_ERR_INVALID_HANDLE, pv_policy_free((pv_policy *)never[i]));
        STATUS(PV_ERR_INVALID_HANDLE, pv_cancel_trigger((pv_cancel *)never[i]));
        FAILS(PV_ERR_INVALID_HANDLE, pv_opener_head((pv_opener *)never[i], 200, NULL, 0, &error));
        CHECK(pv_policy_to_json((pv_policy *)never[i]) == NULL);
        CHECK(pv_events_count((pv_events *)never[i]) == 0);
        CHECK(pv_http_request_body((pv_http_request *)never[i]).data == NULL);
    }

    STATUS(PV_OK, pv_policy_free(made));
    STATUS(PV_ERR_INVALID_HANDLE, pv_policy_free(made));
    CHECK(pv_policy_to_json(made) == NULL);
    again = policy();
    CHECK(again != made);
    STATUS(PV_ERR_INVALID_HANDLE, pv_policy_free(made));
    CHECK(pv_policy_to_json(again) != NULL);
    STATUS(PV_OK, pv_policy_free(again));

    STATUS(PV_OK, pv_opener_free(answer));
    FAILS(PV_ERR_INVALID_HANDLE, pv_opener_head(answer, 200, NULL, 0, &error));
    STATUS(PV_ERR_INVALID_HANDLE, pv_opener_free(answer));

    /* NULL is nothing to free. */
    STATUS(PV_OK, pv_error_free(NULL));
    STATUS(PV_OK, pv_policy_free(NULL));
    STATUS(PV_OK, pv_trust_roots_free(NULL));
    STATUS(PV_OK, pv_report_free(NULL));
    STATUS(PV_OK, pv_http_request_free(NULL));
    STATUS(PV_OK, pv_exchange_free(NULL));
    STATUS(PV_OK, pv_endpoint_free(NULL));
    STATUS(PV_OK, pv_sealed_free(NULL));
    STATUS(PV_OK, pv_opener_free(NULL));
    STATUS(PV_OK, pv_events_free(NULL));
    STATUS(PV_OK, pv_receipt_free(NULL));
    STATUS(PV_OK, pv_client_free(NULL));
    STATUS(PV_OK, pv_stream_free(NULL));
    STATUS(PV_OK, pv_cancel_free(NULL));
    STATUS(PV_OK, pv_buf_free(NULL));
}

static void buffers(void) {
    /* The generator point of the curve is a valid public key. */
    static const uint8_t point[65] = {
        0x04, 0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07,
        0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98, 0x48,
        0x3a, 0xda, 0x77, 0x26, 0xa3, 0xc4, 0x65, 0x5d, 0xa4, 0xfb, 0xfc, 0x0e, 0x11, 0x08, 0xa8, 0xfd, 0x17,
        0xb4, 0x48, 0xa6, 0x85, 0x54, 0x19, 0x9c, 0x47, 0xd0, 0x8f, 0xfb, 0x10, 0xd4, 0xb8};
    /* Its private key is 1. */
    uint8_t one[32] = {0};
    pv_buf sealed;
    pv_buf opened;
    pv_buf copy;
    pv_buf empty = {NULL, 0, NULL};
    one[31] = 1;
    STATUS(PV_OK, pv_seal_field(raw(point, 65), raw("a\0b", 3), &sealed, &error));
    CHECK(sealed.len > 0 && strlen((const char *)sealed.data) == sealed.len);
    STATUS(PV_OK, pv_open_field(raw(one, 32), raw(sealed.data, sealed.len), &opened, &error));
    CHECK(opened.len == 3 && memcmp(opened.data, "a\0b", 4) == 0);
    copy = opened;
    STATUS(PV_OK, pv_buf_free(&opened));
    CHECK(opened.data == NULL && opened.len == 0 && opened.owner == NULL);
    STATUS(PV_OK, pv_buf_free(&opened));
    STATUS(PV_ERR_INVALID_HANDLE, pv_buf_free(&copy));
    CHECK(copy.data == NULL);
    STATUS(PV_OK, pv_buf_free(&empty));

    /* A field that does not open leaves nothing in the output (T30). */
    copy = sealed;
    opened.data = (const uint8_t *)"stale";
    one[31] = 2;
    FAILS(PV_ERR_AUTH_FAILED, pv_open_field(raw(one, 32), raw(sealed.data, sealed.len), &opened, &error));
    CHECK(opened.data == NULL && opened.len == 0);
    STATUS(PV_OK, pv_buf_free(&sealed));
}

/* An answer that is fed out of order, or after its end. */
static void order(void) {
    pv_opener *answer = opener();
    pv_events *events = NULL;
    pv_receipt *receipt = NULL;
    pv_header header = {"Content-Type", "text/event-stream"};
    pv_header latin1 = {"x-town", "K\xf6ln"};
    pv_header missing = {"x", NULL};
    FAILS(PV_ERR_OUT_OF_ORDER, pv_opener_push(answer, raw("x", 1), &events, &error));
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_opener_head(answer, 0, &header, 1, &error));
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_opener_head(answer, 70000, &header, 1, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_opener_head(answer, 200, &missing, 1, &error));
    STATUS(PV_OK, pv_opener_head(answer, 200, &header, 1, &error));
    FAILS(PV_ERR_OUT_OF_ORDER, pv_opener_head(answer, 200, &header, 1, &error));
    STATUS(PV_OK, pv_opener_push(answer, raw(NULL, 0), &events, &error));
    CHECK(events == NULL);
    FAILS(PV_ERR_TRUNCATED, pv_opener_finish(answer, &events, &receipt, &error));
    CHECK(events == NULL && receipt == NULL);
    FAILS(PV_ERR_ALREADY_FINISHED, pv_opener_push(answer, raw("x", 1), &events, &error));
    FAILS(PV_ERR_ALREADY_FINISHED, pv_opener_finish(answer, &events, &receipt, &error));
    STATUS(PV_OK, pv_opener_free(answer));

    /* A byte of another alphabet in a header that nobody looks at does not lose the answer. */
    answer = opener();
    {
        pv_header both[2];
        both[0] = latin1;
        both[1] = header;
        STATUS(PV_OK, pv_opener_head(answer, 200, both, 2, &error));
    }
    STATUS(PV_OK, pv_opener_free(answer));
}

/* Structures of other sizes: older headers work, unknown sizes do not. */
static void struct_sizes(void) {
    /* pv_client_options and pv_exchange_options as the first header had them. */
    struct older_client {
        size_t struct_size;
        const char *provider, *api_key, *base_url, *collateral_url;
        const pv_policy *policy;
        const pv_trust_roots *trust_roots;
    } older = {sizeof older, "venice", "key", NULL, NULL, NULL, NULL};
    struct older_exchange {
        size_t struct_size;
        const char *provider, *model, *api_key, *base_url, *collateral_url;
        const pv_policy *policy;
        const pv_trust_roots *trust_roots;
    } dialogue = {sizeof dialogue, "venice", "e2ee-model", "key", NULL, NULL, NULL, NULL};
    const size_t wrong[] = {0, 1, 8, sizeof older - 1, sizeof older + 1, sizeof(pv_client_options) + 8, SIZE_MAX};
    pv_client_options options;
    pv_evidence_input evidence;
    pv_client *client = NULL;
    pv_exchange *exchange = NULL;
    pv_report *report = NULL;
    unsigned char misaligned[sizeof(pv_client_options) + 1];
    size_t i;

    STATUS(PV_OK, pv_client_new((const pv_client_options *)&older, &client, &error));
    STATUS(PV_OK, pv_client_free(client));
    STATUS(PV_OK, pv_exchange_new((const pv_exchange_options *)&dialogue, &exchange, &error));
    STATUS(PV_OK, pv_exchange_free(exchange));

    memset(&options, 0, sizeof options);
    memset(&evidence, 0, sizeof evidence);
    options.provider = "venice";
    options.api_key = "key";
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options.struct_size = wrong[i];
        FAILS(PV_ERR_STRUCT_SIZE, pv_client_new(&options, &client, &error));
        CHECK(client == NULL);
        evidence.struct_size = wrong[i];
        FAILS(PV_ERR_STRUCT_SIZE, pv_verify_evidence(&evidence, &report, &error));
    }
    /* A structure at an odd address. */
    options.struct_size = sizeof options;
    memcpy(misaligned + 1, &options, sizeof options);
    STATUS(PV_OK, pv_client_new((const pv_client_options *)(const void *)(misaligned + 1), &client, &error));
    STATUS(PV_OK, pv_client_free(client));

    options.policy = (const pv_policy *)&options;
    FAILS(PV_ERR_INVALID_HANDLE, pv_client_new(&options, &client, &error));
    options.policy = NULL;
    options.provider = "venise";
    FAILS(PV_ERR_UNKNOWN_PROVIDER, pv_client_new(&options, &client, &error));
    options.provider = "venice";
    options.base_url = "http://api.venice.ai";
    FAILS(PV_ERR_INVALID_URL, pv_client_new(&options, &client, &error));
}

static void errors(void) {
    pv_policy *made = NULL;
    const char *json = "{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"rule\":\"of\"}}";
    pv_error *kept = NULL;
    STATUS(PV_ERR_POLICY_INVALID, pv_policy_from_json(pv_bytes_from_text(json), &made, &kept));
    CHECK(strcmp(pv_error_code(kept), "PV-131") == 0);
    CHECK(strcmp(pv_error_slug(kept), "policy_invalid") == 0);
    CHECK(strcmp(pv_error_class_name(kept), "ConfigError") == 0);
    CHECK(pv_error_class(kept) == PV_CLASS_CONFIG);
    CHECK(strlen(pv_error_hint(kept)) > 0 && pv_error_check(kept) != NULL);
    CHECK(pv_error_retryable(kept) == 0);
    CHECK(pv_error_report_json(kept) == NULL);
    /* What the caller left in the place for the error is not looked at. */
    STATUS(PV_OK, pv_error_free(kept));
    STATUS(PV_ERR_POLICY_INVALID, pv_policy_from_json(pv_bytes_from_text("["), &made, &kept));
    STATUS(PV_OK, pv_error_free(kept));
    STATUS(PV_ERR_INVALID_HANDLE, pv_error_free(kept));
    CHECK(pv_error_message(kept) == NULL && pv_error_number(kept) == 0);
    /* Success clears the place. */
    STATUS(PV_OK, pv_policy_preset("strict", &made, &kept));
    CHECK(kept == NULL);
    CHECK(strcmp(pv_policy_name(made), "strict") == 0 && strlen(pv_policy_sha256(made)) == 64);
    STATUS(PV_OK, pv_policy_free(made));
}

int main(void) {
    null_pointers();
    lengths();
    texts();
    handles();
    buffers();
    order();
    struct_sizes();
    errors();
    return finish();
}
