/* The best inner product of each document's tokens with each query token, from states of float32.

Query tokens are packed 16 to a group: for every dimension their 16 elements, one register. 12 rows by two groups are
24 sums, which stay in registers while their dimensions pass by; rows are taken as they lie. torch writes every product
to memory and reads it again for the maximum, and its product of so few columns is far from that of square matrices.

A sum is made of PART dimensions at a time, one after the other, and these are added in turn: its rounding depends on
nothing but the two vectors, neither on the company nor on the number of threads. */

#include "maxsim.h"

enum { ROWS = 12, LINE = 16, PART = 256, EARLY = 8 * LINE };

/* sums[r][g] += the products of row r, `stride` elements apart, with group g, over n dimensions. Elements are fetched
EARLY before they are needed, where fewer than that are `left` of a row from `next`, the next block, on. */
typedef void Multiply(const float *a, int64_t stride, int64_t n, int64_t left, const float *next, const float *b,
                      int64_t size, float *sums);

#define MULTIPLY(name, groups)                                                                                       \
    BASE static void name(const float *a, int64_t stride, int64_t n, int64_t left, const float *next, const float *b, \
                          int64_t size, float *sums) {                                                               \
        __m512 part[ROWS][groups];                                                                                   \
        for (int r = 0; r < ROWS; r++)                                                                               \
            for (int g = 0; g < groups; g++) part[r][g] = _mm512_setzero_ps();                                       \
        for (int64_t k = 0; k < n; k += LINE) {                                                                      \
            const float *early = k + EARLY < left ? a + k + EARLY : next + k + EARLY - left;                         \
            for (int r = 0; r < ROWS; r++) _mm_prefetch(early + r * stride, _MM_HINT_T0);                            \
            const int64_t end = k + LINE < n ? k + LINE : n;                                                         \
            for (int64_t i = k; i < end; i++) {                                                                      \
                __m512 column[groups];                                                                               \
                for (int g = 0; g < groups; g++) column[g] = _mm512_load_ps(b + g * size + i * COLUMNS);             \
                for (int r = 0; r < ROWS; r++) {                                                                     \
                    const __m512 row = _mm512_set1_ps(a[r * stride + i]);                                            \
                    for (int g = 0; g < groups; g++) part[r][g] = _mm512_fmadd_ps(row, column[g], part[r][g]);       \
                }                                                                                                    \
            }                                                                                                        \
        }                                                                                                            \
        for (int r = 0; r < ROWS; r++)                                                                               \
            for (int g = 0; g < groups; g++) {                                                                       \
                float *sum = sums + (r * 2 + g) * COLUMNS;                                                           \
                _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), part[r][g]));                                \
            }                                                                                                        \
    }
MULTIPLY(multiply1, 1)
MULTIPLY(multiply2, 2)

/* smart_jobs_best_float32 of documents first ... last. */
BASE static int part_of(const float *values, int64_t rows, const int64_t *starts, const int64_t *ends, int64_t first,
                        int64_t last, const float *panel, int64_t m, int64_t d, float *best) {
    const int64_t width = up(m, COLUMNS), groups = width / COLUMNS, size = d * COLUMNS;
    _Alignas(64) float sums[ROWS * 2 * COLUMNS];
    float *copy = calloc(ROWS, d * sizeof(float));
    if (!copy) return -1;
    for (Cursor at = {first, starts[first]}; at.document < last;) {
        const Cursor here = at;
        const int64_t n = take(starts, ends, last, ROWS, &at);
        const float *a = values + here.row * d;
        if (here.row + ROWS > rows) a = memcpy(copy, a, n * d * sizeof(float)); /* what follows may not be read */
        for (int64_t g = 0; g < groups; g += 2) {
            const int together = groups - g < 2 ? 1 : 2;
            Multiply *const multiply = together == 1 ? multiply1 : multiply2;
            memset(sums, 0, sizeof sums);
            for (int64_t k = 0; k < d; k += PART)
                multiply(a + k, d, d - k < PART ? d - k : PART, d - k, g + 2 < groups ? a : values + at.row * d,
                         panel + g * size + k * COLUMNS, size, sums);
            Cursor of = here;
            for (int64_t r = 0; r < n; of.document++) {
                const int new = here.row + r == starts[of.document];
                const int64_t left = ends[of.document] - here.row, end = left < n ? left : n;
                float *out = best + (of.document - first) * width + g * COLUMNS;
                for (int t = 0; t < together; t++) {
                    __m512 most = new ? _mm512_set1_ps(-INFINITY) : _mm512_loadu_ps(out + t * COLUMNS);
                    for (int64_t i = r; i < end; i++)
                        most = _mm512_max_ps(_mm512_load_ps(sums + (i * 2 + t) * COLUMNS), most);
                    _mm512_storeu_ps(out + t * COLUMNS, most);
                }
                r = end;
            }
        }
    }
    free(copy);
    return 0;
}

/* best (documents, m rounded up to 16) of all documents, of which document i is rows starts[i] ... ends[i] of `values`
(rows, d); no document is empty. `panel` [group][d][16] is m tokens, aligned to 64 bytes. On so many threads, each taking
documents cuts[i] ... cuts[i + 1] as it comes free. Returns 0, or -1 where there is no memory. */
int smart_jobs_best_float32(const int64_t *cuts, int64_t parts, int threads, const float *values, int64_t rows,
                            const int64_t *starts, const int64_t *ends, const float *panel, int64_t m, int64_t d,
                            float *best) {
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(| : failed)
    for (int64_t i = 0; i < parts; i++)
        failed |= part_of(values, rows, starts, ends, cuts[i], cuts[i + 1], panel, m, d,
                          best + cuts[i] * up(m, COLUMNS));
    return failed;
}
