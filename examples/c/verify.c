/*
 * Judges a captured attestation answer, offline, and prints the report.
 *
 *     verify RESPONSE.json NONCE_HEX COLLATERAL.json UNIX_SECONDS [TRUST_ROOTS.json]
 *
 * Exit code: 0 verified, 3 refused, 4 could not be checked, 2 bad input, 1 anything else.
 * Build: cc -std=c99 verify.c $(pkg-config --cflags --libs proveil)
 */
#include <proveil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (20u * 1024u * 1024u)

static int fail(const char *what) {
    fprintf(stderr, "verify: %s\n", what);
    return 2;
}

/* Prints and frees an error of the library; gives the exit code. */
static int explain(pv_error *error) {
    const int32_t class_ = pv_error_class(error);
    const char *check = pv_error_check(error);
    fprintf(stderr, "verify: %s: %s%s%s %s\n", pv_error_code(error), pv_error_message(error), check ? " Details: " : "",
            check ? check : "", pv_error_hint(error));
    pv_error_free(error);
    if (class_ == PV_CLASS_INDETERMINATE) return 4;
    return class_ == PV_CLASS_INPUT || class_ == PV_CLASS_CONFIG || class_ == PV_CLASS_MISUSE ? 2 : 1;
}

/* Reads a whole file; `bytes->data` is to be given to free(). */
static int read_file(const char *path, pv_bytes *bytes) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(FILE_MAX + 1);
    if (file == NULL || data == NULL) {
        free(data);
        if (file != NULL) fclose(file);
        return -1;
    }
    bytes->data = data;
    bytes->len = fread(data, 1, FILE_MAX + 1, file);
    fclose(file);
    return bytes->len > FILE_MAX ? -1 : 0;
}

/* Reads 64 hex digits. */
static int read_nonce(const char *hex, uint8_t nonce[32]) {
    size_t i;
    if (strlen(hex) != 64 || strspn(hex, "0123456789abcdefABCDEF") != 64) return -1;
    for (i = 0; i < 32; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        nonce[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return 0;
}

static int judge(const pv_evidence_input *input) {
    pv_report *report = NULL;
    pv_error *error = NULL;
    int32_t verdict;
    if (pv_verify_evidence(input, &report, &error) != PV_OK) return explain(error);
    fputs(pv_report_text(report), stdout);
    verdict = pv_report_verdict(report);
    pv_report_free(report);
    switch (verdict) {
    case PV_VERDICT_VERIFIED: return 0;
    case PV_VERDICT_REFUSED: return 3;
    default: return 4;
    }
}

int main(int argc, char **argv) {
    pv_evidence_input input = {.struct_size = sizeof input, .provider = "venice"};
    pv_bytes collateral = {NULL, 0}, document = {NULL, 0};
    pv_trust_roots *roots = NULL;
    pv_error *error = NULL;
    uint8_t nonce[32];
    char *end;
    int code = 2;

    if (argc != 5 && argc != 6) {
        return fail("usage: verify RESPONSE.json NONCE_HEX COLLATERAL.json UNIX_SECONDS [TRUST_ROOTS.json]");
    }
    if (read_nonce(argv[2], nonce) != 0) return fail("the nonce is not 64 hex digits");
    input.nonce.data = nonce;
    input.nonce.len = sizeof nonce;
    input.at_unix_s = strtoull(argv[4], &end, 10);
    if (end == argv[4] || *end != '\0' || input.at_unix_s == 0) return fail("the time is not a number of seconds since 1970");

    if (read_file(argv[1], &input.response) != 0 || read_file(argv[3], &collateral) != 0) {
        code = fail("a file cannot be read");
    } else if (argc == 6 && read_file(argv[5], &document) != 0) {
        code = fail("the trust roots cannot be read");
    } else if (argc == 6 && pv_trust_roots_from_json(document, &roots, &error) != PV_OK) {
        code = explain(error);
    } else {
        input.collateral = &collateral;
        input.collateral_count = 1;
        input.trust_roots = roots;
        code = judge(&input);
    }
    pv_trust_roots_free(roots);
    free((void *)input.response.data);
    free((void *)collateral.data);
    free((void *)document.data);
    return code;
}
