/* The header can be included twice, before and after the ones it uses. */
#include "proveil.h"
#include <stddef.h>
#include <stdint.h>
#include "proveil.h"

int main(void) { return 0; }
