/* 10,000 cycles of making, using and freeing: no handle stays, and memory stays flat within 5 %. Give an argument for fewer cycles
 * without the memory measurement, which tools that track memory would disturb. */
#include <stdlib.h>

#include "check.h"

/* Resident memory in pages, from Linux; 0 elsewhere. */
static long resident(void) {
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%ld %ld", &size, &pages) != 2) pages = 0;
    fclose(file);
    return pages;
}

static void cycle(void) {
    static const uint8_t key[32] = {1};
    static const uint8_t nonce[32] = {2};
    const pv_bytes secret = {key, sizeof key};
    const pv_header header = {"content-type", "text/event-stream"};
    pv_evidence_input input;
    pv_policy *policy = NULL;
    pv_report *report = NULL;
    pv_opener *opener = NULL;
    pv_events *events = NULL;
    pv_receipt *receipt = NULL;
    pv_cancel *cancel = NULL;
    pv_error *error = NULL;

    STATUS(PV_ERR_POLICY_INVALID, pv_policy_preset("other", &policy, &error));
    CHECK(policy == NULL);
    STATUS(PV_OK, pv_error_free(error));
    STATUS(PV_OK, pv_policy_preset("strict", &policy, &error));

    memset(&input, 0, sizeof input);
    input.struct_size = sizeof input;
    input.provider = "venice";
    input.response = pv_bytes_from_text("{\"verified\":true}");
    input.nonce.data = nonce;
    input.nonce.len = sizeof nonce;
    input.at_unix_s = 1781056027;
    input.policy = policy;
    STATUS(PV_OK, pv_verify_evidence(&input, &report, &error));
    CHECK(pv_report_verdict(report) == PV_VERDICT_REFUSED);
    CHECK(pv_report_level(report) == PV_LEVEL_NONE);
    CHECK(strlen(pv_report_json(report)) > 100 && strlen(pv_report_text(report)) > 100);
    CHECK(pv_report_json(report) == pv_report_json(report));
    CHECK(strlen(pv_report_html(report)) > 100 && strlen(pv_report_svg(report)) > 100);
    CHECK(strlen(pv_report_ear_json(report)) > 100);

    STATUS(PV_OK, pv_opener_for_key(secret, 0, &opener, &error));
    STATUS(PV_OK, pv_opener_head(opener, 200, &header, 1, &error));
    STATUS(PV_ERR_PLAINTEXT_DOWNGRADE,
           pv_opener_push(opener,
                          pv_bytes_from_text("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":"
                                             "[{\"index\":0,\"delta\":{\"content\":\"in clear\"}}]}\n\n"),
                          &events, &error));
    CHECK(events == NULL);
    STATUS(PV_OK, pv_error_free(error));
    STATUS(PV_ERR_ALREADY_FINISHED, pv_opener_finish(opener, &events, &receipt, NULL));

    STATUS(PV_OK, pv_cancel_new(&cancel, &error));
    STATUS(PV_OK, pv_cancel_trigger(cancel));
    STATUS(PV_OK, pv_cancel_free(cancel));
    STATUS(PV_OK, pv_opener_free(opener));
    STATUS(PV_OK, pv_report_free(report));
    STATUS(PV_OK, pv_policy_free(policy));
    CHECK(pv_live_handles() == 0);
}

int main(int argc, char **argv) {
    const int cycles = argc > 1 ? 100 : 10000;
    long before = 0, after;
    int i;
    (void)argv;
    for (i = 0; i < cycles && checks_failed == 0; i++) {
        if (i == cycles / 10) before = resident();
        cycle();
    }
    after = resident();
    if (argc == 1 && before > 0 && after > before + before / 20) {
        checks_failed++;
        fprintf(stderr, "resident memory grew from %ld to %ld pages\n", before, after);
    }
    return finish();
}
