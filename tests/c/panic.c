/* A panic inside the library comes out as PV-902 with fixed text, and the library goes on (T64, I7). Linked with the variant that has
 * the test entry; no header declares it. */
#include "check.h"

pv_status pv_test_panic(pv_error **error);

int main(void) {
    pv_error *error = NULL;
    pv_policy *policy = NULL;
    int i;
    for (i = 0; i < 3; i++) {
        STATUS(PV_ERR_PANIC, pv_test_panic(&error));
        CHECK(strcmp(pv_error_code(error), "PV-902") == 0);
        CHECK(strcmp(pv_error_slug(error), "panic") == 0);
        CHECK(pv_error_class(error) == PV_CLASS_INTERNAL);
        CHECK(strstr(pv_error_message(error), "canary") == NULL);
        /* The place in the library's source, nothing of the panic's message. */
        CHECK(pv_error_check(error) == NULL || strstr(pv_error_check(error), "guard.rs:") == pv_error_check(error));
        CHECK(pv_error_found(error) == NULL);
        STATUS(PV_OK, pv_error_free(error));
        STATUS(PV_ERR_PANIC, pv_test_panic(NULL));
    }
    STATUS(PV_OK, pv_policy_preset("standard", &policy, &error));
    STATUS(PV_OK, pv_policy_free(policy));
    return finish();
}
