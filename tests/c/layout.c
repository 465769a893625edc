/* The layout of everything that crosses the boundary by value (T65): a change here is a change of the binary interface. */
#include <stddef.h>

#include "check.h"

#define WORD sizeof(void *)
#define AT(type, member, offset) CHECK(offsetof(type, member) == (offset))

int main(void) {
    CHECK(sizeof(pv_status) == 4 && sizeof(size_t) == WORD);

    CHECK(sizeof(pv_bytes) == 2 * WORD);
    AT(pv_bytes, data, 0);
    AT(pv_bytes, len, WORD);

    CHECK(sizeof(pv_buf) == 3 * WORD);
    AT(pv_buf, data, 0);
    AT(pv_buf, len, WORD);
    AT(pv_buf, owner, 2 * WORD);

    CHECK(sizeof(pv_header) == 2 * WORD);
    AT(pv_header, name, 0);
    AT(pv_header, value, WORD);

    CHECK(sizeof(pv_client_options) == 20 * WORD + 24);
    AT(pv_client_options, struct_size, 0);
    AT(pv_client_options, provider, WORD);
    AT(pv_client_options, api_key, 2 * WORD);
    AT(pv_client_options, base_url, 3 * WORD);
    AT(pv_client_options, collateral_url, 4 * WORD);
    AT(pv_client_options, policy, 5 * WORD);
    AT(pv_client_options, trust_roots, 6 * WORD);
    AT(pv_client_options, ca_bundle_pem, 7 * WORD);
    AT(pv_client_options, proxy, 9 * WORD);
    AT(pv_client_options, cache_dir, 10 * WORD);
    AT(pv_client_options, connect_timeout_s, 11 * WORD);
    AT(pv_client_options, first_byte_timeout_s, 11 * WORD + 4);
    AT(pv_client_options, idle_timeout_s, 11 * WORD + 8);
    AT(pv_client_options, verification_timeout_s, 11 * WORD + 12);
    AT(pv_client_options, nvidia_url, 11 * WORD + 16);
    AT(pv_client_options, pins_path, 12 * WORD + 16);
    AT(pv_client_options, manifest, 13 * WORD + 16);
    AT(pv_client_options, manifest_url, 15 * WORD + 16);
    AT(pv_client_options, amd_url, 16 * WORD + 16);
    AT(pv_client_options, cache_salt, 17 * WORD + 16);
    AT(pv_client_options, key_service_name, 18 * WORD + 16);
    AT(pv_client_options, gpu_revocation_grace_s, 19 * WORD + 16);
    AT(pv_client_options, workspace, 19 * WORD + 24);

    CHECK(sizeof(pv_exchange_options) == 21 * WORD + 8);
    AT(pv_exchange_options, struct_size, 0);
    AT(pv_exchange_options, provider, WORD);
    AT(pv_exchange_options, model, 2 * WORD);
    AT(pv_exchange_options, api_key, 3 * WORD);
    AT(pv_exchange_options, base_url, 4 * WORD);
    AT(pv_exchange_options, collateral_url, 5 * WORD);
    AT(pv_exchange_options, policy, 6 * WORD);
    AT(pv_exchange_options, trust_roots, 7 * WORD);
    AT(pv_exchange_options, collateral, 8 * WORD);
    AT(pv_exchange_options, collateral_count, 9 * WORD);
    AT(pv_exchange_options, model_list, 10 * WORD);
    AT(pv_exchange_options, nvidia_url, 12 * WORD);
    AT(pv_exchange_options, endorsements, 13 * WORD);
    AT(pv_exchange_options, endorsements_count, 14 * WORD);
    AT(pv_exchange_options, manifest, 15 * WORD);
    AT(pv_exchange_options, manifest_url, 17 * WORD);
    AT(pv_exchange_options, amd_url, 18 * WORD);
    AT(pv_exchange_options, cache_salt, 19 * WORD);
    AT(pv_exchange_options, key_service_name, 20 * WORD);
    AT(pv_exchange_options, gpu_revocation_grace_s, 21 * WORD);

    AT(pv_evidence_input, struct_size, 0);
    AT(pv_evidence_input, provider, WORD);
    AT(pv_evidence_input, model, 2 * WORD);
    AT(pv_evidence_input, response, 3 * WORD);
    AT(pv_evidence_input, nonce, 5 * WORD);
    AT(pv_evidence_input, collateral, 7 * WORD);
    AT(pv_evidence_input, collateral_count, 8 * WORD);
    AT(pv_evidence_input, at_unix_s, 9 * WORD);
    AT(pv_evidence_input, policy, 9 * WORD + 8);
    AT(pv_evidence_input, trust_roots, 10 * WORD + 8);
    CHECK(sizeof(pv_evidence_input) == 11 * WORD + 8);

    AT(pv_hardware_input, struct_size, 0);
    AT(pv_hardware_input, files, WORD);
    AT(pv_hardware_input, files_count, 2 * WORD);
    AT(pv_hardware_input, nonce, 3 * WORD);
    AT(pv_hardware_input, report_data, 5 * WORD);
    AT(pv_hardware_input, measurement, 7 * WORD);
    AT(pv_hardware_input, host_data, 9 * WORD);
    AT(pv_hardware_input, mr_td, 11 * WORD);
    AT(pv_hardware_input, mr_seam, 13 * WORD);
    AT(pv_hardware_input, mr_config_id, 15 * WORD);
    AT(pv_hardware_input, mr_owner, 17 * WORD);
    AT(pv_hardware_input, mr_owner_config, 19 * WORD);
    AT(pv_hardware_input, rtmr0, 21 * WORD);
    AT(pv_hardware_input, rtmr1, 23 * WORD);
    AT(pv_hardware_input, rtmr2, 25 * WORD);
    AT(pv_hardware_input, rtmr3, 27 * WORD);
    AT(pv_hardware_input, at_unix_s, 29 * WORD);
    AT(pv_hardware_input, policy, 29 * WORD + 8);
    AT(pv_hardware_input, trust_roots, 30 * WORD + 8);
    CHECK(sizeof(pv_hardware_input) == 31 * WORD + 8);

    /* Versions: every part and the composite, header against library. */
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", PV_VERSION_MAJOR, PV_VERSION_MINOR, PV_VERSION_PATCH);
    CHECK(strcmp(version, PV_VERSION) == 0 && strcmp(version, pv_version()) == 0);
    CHECK(PV_VERSION_NUMBER == PV_VERSION_MAJOR * 1000000 + PV_VERSION_MINOR * 1000 + PV_VERSION_PATCH);
    CHECK(pv_abi_version() == PV_ABI_VERSION);
    return finish();
}
