/* The table of forged evidence bundles, which every language judges; argument 1 is its folder. What is malformed has its code (T44, T68). */
#include <stdlib.h>

#include "check.h"

static pv_error *error;

/* A whole file, NUL-terminated. */
static char *content(const char *folder, const char *name, size_t *length) {
    char path[1024];
    char *text = NULL;
    long size;
    FILE *file;
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    rewind(file);
    *length = (size_t)size;
    text = malloc(*length + 1);
    if (text == NULL || fread(text, 1, *length, file) != *length) exit(2);
    text[*length] = 0;
    fclose(file);
    return text;
}

static pv_bytes range(const char *text, size_t length) {
    pv_bytes bytes;
    bytes.data = (const uint8_t *)text;
    bytes.len = length;
    return bytes;
}

/* The case of this name: kind, verdict, level (or NONE) and code (or NULL) under the roots that it names. */
static void judge(const char *folder, const char *name, const char *kind, int32_t verdict, int32_t level, const char *code) {
    pv_evidence_bundle *bundle = NULL, *again = NULL;
    pv_trust_roots *roots = NULL;
    pv_report *report = NULL, *same = NULL;
    size_t length = 0;
    char *text = content(folder, name, &length);
    STATUS(PV_OK, pv_evidence_bundle_from_json(range(text, length), &bundle, &error));
    CHECK(strcmp(pv_evidence_bundle_kind(bundle), kind) == 0 && pv_evidence_bundle_at(bundle) == 1790000000);
    CHECK(strncmp(pv_evidence_bundle_to_json(bundle), text, length - 1) == 0);
    STATUS(PV_OK, pv_evidence_bundle_custom_roots(bundle, &roots, &error));
    STATUS(PV_OK, pv_evidence_bundle_appraise(bundle, NULL, roots, PV_NOW, &report, &error));
    CHECK(pv_report_verdict(report) == verdict && pv_report_level(report) == level);
    if (code == NULL) {
        CHECK(pv_report_code(report) == NULL);
    } else {
        CHECK(pv_report_code(report) != NULL && strcmp(pv_report_code(report), code) == 0);
    }
    STATUS(PV_OK, pv_evidence_bundle_from_json(pv_bytes_from_text(pv_evidence_bundle_to_json(bundle)), &again, &error));
    STATUS(PV_OK, pv_evidence_bundle_appraise(again, NULL, roots, PV_NOW, &same, &error));
    CHECK(strcmp(pv_report_json(report), pv_report_json(same)) == 0);
    STATUS(PV_OK, pv_report_free(same));
    /* Roots that a document names vouch for nothing by themselves. */
    STATUS(PV_OK, pv_evidence_bundle_appraise(bundle, NULL, NULL, PV_NOW, &same, &error));
    CHECK(pv_report_verdict(same) == PV_VERDICT_REFUSED);
    STATUS(PV_OK, pv_report_free(same));
    STATUS(PV_OK, pv_report_free(report));
    STATUS(PV_OK, pv_trust_roots_free(roots));
    STATUS(PV_OK, pv_evidence_bundle_free(again));
    STATUS(PV_OK, pv_evidence_bundle_free(bundle));
    free(text);
}

static void malformed(const char *text, pv_status code) {
    pv_evidence_bundle *bundle = NULL;
    FAILS(code, pv_evidence_bundle_from_json(pv_bytes_from_text(text), &bundle, &error));
    CHECK(bundle == NULL);
}

static void hardware(void) {
    static const uint8_t nonce[32] = {1};
    pv_hardware_input input;
    pv_evidence_bundle *bundle = NULL;
    pv_bytes file = pv_bytes_from_text("hello");
    memset(&input, 0, sizeof input);
    FAILS(PV_ERR_STRUCT_SIZE, pv_evidence_bundle_snp(&input, &bundle, &error));
    input.struct_size = sizeof input;
    FAILS(PV_ERR_EVIDENCE_INVALID, pv_evidence_bundle_snp(&input, &bundle, &error));
    input.files_count = 1;
    FAILS(PV_ERR_NULL_POINTER, pv_evidence_bundle_tdx(&input, &bundle, &error));
    input.files = &file;
    FAILS(PV_ERR_EVIDENCE_INVALID, pv_evidence_bundle_tdx(&input, &bundle, &error));
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_evidence_bundle_nvidia(&input, &bundle, &error));
    input.nonce.data = nonce;
    input.nonce.len = sizeof nonce;
    FAILS(PV_ERR_EVIDENCE_INVALID, pv_evidence_bundle_nvidia(&input, &bundle, &error));
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_evidence_bundle_snp(&input, &bundle, &error));
    input.nonce.len = 0;
    input.measurement = file;
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_evidence_bundle_tdx(&input, &bundle, &error));
    FAILS(PV_ERR_INVALID_ARGUMENT, pv_evidence_bundle_snp(&input, &bundle, &error));
    input.files_count = 513;
    FAILS(PV_ERR_LIMIT_EXCEEDED, pv_evidence_bundle_snp(&input, &bundle, &error));
    CHECK(bundle == NULL);
    FAILS(PV_ERR_NULL_POINTER, pv_evidence_bundle_from_json(file, NULL, &error));
    FAILS(PV_ERR_NULL_POINTER, pv_evidence_bundle_appraise(NULL, NULL, NULL, PV_NOW, NULL, &error));
    CHECK(pv_evidence_bundle_kind(NULL) == NULL && pv_evidence_bundle_at(NULL) == 0);
    CHECK(pv_evidence_bundle_to_json(NULL) == NULL && pv_evidence_bundle_free(NULL) == PV_OK);
}

int main(int count, char **arguments) {
    const char *folder = count > 1 ? arguments[1] : "tests/evidence/bundles";
    judge(folder, "provider-honest", "provider", PV_VERDICT_VERIFIED, 2, NULL);
    judge(folder, "provider-tampered-quote", "provider", PV_VERDICT_REFUSED, PV_LEVEL_NONE, "PV-225");
    judge(folder, "provider-key-swap", "provider", PV_VERDICT_REFUSED, PV_LEVEL_NONE, "PV-212");
    judge(folder, "snp-honest", "snp", PV_VERDICT_VERIFIED, 3, NULL);
    judge(folder, "snp-other-report-data", "snp", PV_VERDICT_REFUSED, PV_LEVEL_NONE, "PV-281");
    judge(folder, "tdx-honest", "tdx", PV_VERDICT_VERIFIED, 3, NULL);
    judge(folder, "tdx-nothing-expected", "tdx", PV_VERDICT_VERIFIED, 0, NULL);
    judge(folder, "tdx-other-rtmr3", "tdx", PV_VERDICT_REFUSED, PV_LEVEL_NONE, "PV-260");
    judge(folder, "nvidia-honest", "nvidia", PV_VERDICT_VERIFIED, PV_LEVEL_NONE, NULL);
    judge(folder, "nvidia-other-nonce", "nvidia", PV_VERDICT_REFUSED, PV_LEVEL_NONE, "PV-215");
    malformed("", PV_ERR_EVIDENCE_INVALID);
    malformed("{\"schema\":\"proveil.evidence/v2\"}", PV_ERR_EVIDENCE_INVALID);
    malformed("{\"schema\":\"proveil.evidence/v1\",\"at\":1,\"at\":2}", PV_ERR_EVIDENCE_INVALID);
    malformed("{\"schema\":\"proveil.evidence/v1\",\"kind\":\"tdx\",\"at\":1,\"policy\":{}}", PV_ERR_POLICY_INVALID);
    hardware();
    return finish();
}
