/* What a program of compiled steps consists of; the tables are written by emulate.py. */
#ifndef CODESIGN_HARNESS_H
#define CODESIGN_HARNESS_H

#include <stdint.h>

/* DLTensor of DLPack, on the CPU. */
struct tensor {
    void *data;
    int32_t device_type, device_id;
    int32_t ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
};

/* TVMFFIAny of tvm/ffi/c_api.h; 7 says that `tensor` is a DLTensor *. */
struct any {
    int32_t type_index;
    uint32_t zero_padding;
    union {
        struct tensor *tensor;
        int64_t integer;
    };
};

typedef int32_t (*function)(void *self, const struct any *arguments, int32_t count,
                            struct any *result);

struct step {
    const char *name;
    function run;
    struct tensor *arguments;
    int32_t count;
};

extern uint8_t image[]; /* the arena, then the weights: all that steps read and write */
extern const uint64_t image_bytes, arena_bytes;
extern const struct step steps[];
extern const int32_t step_count;

#endif
