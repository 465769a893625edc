/* The header needs no other header before it. */
#include "proveil.h"

int main(void) { return pv_abi_version() == PV_ABI_VERSION ? 0 : 1; }
