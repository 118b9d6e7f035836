// Finds the kernels that were built for a level, if this processor can run them.
#include <cstring>

#include "kernels.h"

extern const Kernels kernels_generic;
extern const Int8Kernels int8_generic;
#ifdef X86_LEVELS
extern const Kernels kernels_v2, kernels_v3, kernels_v4;
extern const Int8Kernels int8_v2, int8_v3, int8_v4, int8_v4_vnni;
#endif

// The levels are generic, for any processor, and the psABI's levels of x86-64: v2, v3 and v4.
const Kernels *kernels_for(const char *level) {
    if (!strcmp(level, "generic")) return &kernels_generic;
#ifdef X86_LEVELS
    __builtin_cpu_init();
    const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    if (!strcmp(level, "v2")) return v2 ? &kernels_v2 : nullptr;
    if (!strcmp(level, "v3")) return v3 ? &kernels_v3 : nullptr;
    if (!strcmp(level, "v4")) return v4 ? &kernels_v4 : nullptr;
    if (!strcmp(level, "v4_vnni")) return v4 && __builtin_cpu_supports("avx512vnni") ? &kernels_v4 : nullptr;
#endif
    return nullptr;
}

const Int8Kernels *int8_kernels_for(const char *level) {
    if (!kernels_for(level)) return nullptr;
#ifdef X86_LEVELS
    if (!strcmp(level, "v2")) return &int8_v2;
    if (!strcmp(level, "v3")) return &int8_v3;
    if (!strcmp(level, "v4")) return &int8_v4;
    if (!strcmp(level, "v4_vnni")) return &int8_v4_vnni;
#endif
    return &int8_generic;
}
