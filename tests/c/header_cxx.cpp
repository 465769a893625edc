// The header is C++11, and its functions have C linkage.
#include "proveil.h"

#include <type_traits>

extern "C" typedef uint32_t number(void);
static_assert(std::is_same<decltype(pv_abi_version), number>::value, "C linkage");
static_assert(std::is_same<pv_status, int32_t>::value, "fixed width");

int main() {
    pv_client_options options = pv_client_options();
    options.struct_size = sizeof options;
    pv_client *client = nullptr;
    return pv_client_new(&options, &client, nullptr) == PV_ERR_NULL_POINTER ? 0 : 1;
}
