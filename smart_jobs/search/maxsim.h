/* What the kernels of the late score share: how documents' rows are cut into blocks. */

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BASE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))

enum { COLUMNS = 16 }; /* query tokens to a register */

static inline int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* The cursor stands at a row of a document. */
typedef struct {
    int64_t document, row;
} Cursor;

/* How many rows from the cursor on lie one after the other, `most` at the most, and where the next block begins. */
static inline int64_t take(const int64_t *starts, const int64_t *ends, int64_t last, int64_t most, Cursor *at) {
    const int64_t begin = at->row;
    while (ends[at->document] - begin <= most) {
        const int64_t end = ends[at->document++];
        if (at->document == last) return end - begin;
        at->row = starts[at->document];
        if (at->row != end || end - begin == most) return end - begin;
    }
    at->row = begin + most;
    return most;
}
