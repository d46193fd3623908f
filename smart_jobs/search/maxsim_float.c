/* The best inner product of each document's tokens with each query token, from states of float32 or bf16.

Query tokens are packed 16 to a group: for every dimension their 16 elements, one register. 8 rows by two groups are 16
sums, which stay in registers while their dimensions pass by. PART dimensions of two groups stay in the first cache for
MANY rows. Rows are taken as they lie: at 2,048 dimensions all share the same sets of the first cache, which have 8 or 12
places; 12 rows at a time are slower, most of all where another hardware thread wants its part of the cache. torch writes
every product to memory and reads it again for the maximum, and its product of so few columns is far from that of square
matrices.

A sum is made of PART dimensions at a time, one after the other, and these are added in turn: its rounding depends on
nothing but the two vectors, neither on the company nor on the number of threads. */

#include "maxsim.h"

enum { ROWS = 8, MANY = 6 * ROWS, LINE = 16, PART = 256, EARLY = 4 * LINE };

/* sums[r][g] += the products of row r, `stride` elements apart, with group g, over n dimensions. Elements are fetched
EARLY before they are needed, where fewer than that are `left` of a row from `next`, the next block, on. */
typedef void Multiply(const float *a, int64_t stride, int64_t n, int64_t left, const float *next, const float *b,
                      int64_t size, float *sums);

#define TERMS(groups, begin, end)                                                                                    \
    for (int64_t i = begin; i < (end); i++) {                                                                        \
        __m512 column[groups];                                                                                       \
        for (int g = 0; g < groups; g++) column[g] = _mm512_load_ps(b + g * size + i * COLUMNS);                     \
        for (int r = 0; r < ROWS; r++) {                                                                             \
            const __m512 row = _mm512_set1_ps(a[r * stride + i]);                                                    \
            for (int g = 0; g < groups; g++) part[r][g] = _mm512_fmadd_ps(row, column[g], part[r][g]);               \
        }                                                                                                            \
    }
#define MULTIPLY(name, groups)                                                                                       \
    BASE static void name(const float *a, int64_t stride, int64_t n, int64_t left, const float *next, const float *b,\
                          int64_t size, float *sums) {                                                               \
        __m512 part[ROWS][groups];                                                                                   \
        for (int r = 0; r < ROWS; r++)                                                                               \
            for (int g = 0; g < groups; g++) part[r][g] = _mm512_setzero_ps();                                       \
        int64_t k = 0;                                                                                               \
        for (; k + LINE <= n; k += LINE) {                                                                           \
            const float *early = k + EARLY < left ? a + k + EARLY : next + k + EARLY - left;                         \
            for (int r = 0; r < ROWS; r++) _mm_prefetch(early + r * stride, _MM_HINT_T0);                            \
            _Pragma("GCC unroll 8") TERMS(groups, k, k + LINE)                                                       \
        }                                                                                                            \
        TERMS(groups, k, n)                                                                                          \
        for (int r = 0; r < ROWS; r++)                                                                               \
            for (int g = 0; g < groups; g++) {                                                                       \
                float *sum = sums + (r * 2 + g) * COLUMNS;                                                           \
                _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), part[r][g]));                                \
            }                                                                                                        \
    }
MULTIPLY(multiply1, 1)
MULTIPLY(multiply2, 2)

/* `row` of d finite floats, which its pad follows, times this. */
BASE static void scale(float *row, int64_t d, double by) {
    for (int64_t k = 0; k < d; k += LINE)
        _mm512_storeu_ps(row + k, _mm512_mul_ps(_mm512_loadu_ps(row + k), _mm512_set1_ps(by)));
}

/* Widen n rows of d bf16 to float32 of norm 1, d + LINE elements apart, as codec.unit has them; rows of zeros stay.
NEAR is codec.NEAR. */
BASE static void widen(const uint16_t *rows, int64_t n, int64_t d, float *to) {
    for (int64_t r = 0; r < n; r++, rows += d, to += d + LINE) {
        __m512 each[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
        for (int64_t k = 0; k < d; k += 4 * LINE)
            for (int i = 0; i < 4; i++) {
                const int64_t left = d - k - i * LINE;
                const __mmask16 there = left < 0 ? 0 : left < LINE ? (1u << left) - 1 : 0xffff;
                const __m512i upper = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, rows + k + i * LINE));
                const __m512 x = _mm512_castsi512_ps(_mm512_slli_epi32(upper, 16));
                each[i] = _mm512_fmadd_ps(x, x, each[i]);
                _mm512_mask_storeu_ps(to + k + i * LINE, there, x);
            }
        each[0] = _mm512_add_ps(_mm512_add_ps(each[0], each[1]), _mm512_add_ps(each[2], each[3]));
        double squares = _mm512_reduce_add_ps(each[0]);
        if (!(squares > 1e-30 && squares < 1e30)) { /* 0, coarse, or not finite */
            squares = 0;
            for (int64_t k = 0; k < d; k++) squares += (double)to[k] * to[k];
            const double coarse = squares > 1 ? 0x1p-64 : 0x1p64; /* a power of two keeps the factor in range */
            scale(to, d, coarse);
            squares *= coarse * coarse;
        }
        if (squares > 0 && fabs(squares - 1) > NEAR) scale(to, d, 1 / sqrt(squares));
    }
}

/* smart_jobs_best_float of documents first ... last. */
BASE static int part_of(int half, const void *values, int64_t rows, const int64_t *starts, const int64_t *ends,
                        int64_t first, int64_t last, const float *panel, int64_t m, int64_t d, float *best) {
    const int64_t width = up(m, COLUMNS), groups = width / COLUMNS, size = d * COLUMNS;
    _Alignas(64) float sums[MANY * 2 * COLUMNS];
    float *copy = calloc(MANY, (d + LINE) * sizeof(float));
    if (!copy) return -1;
    for (Cursor at = {first, starts[first]}; at.document < last;) {
        const Cursor here = at;
        const int64_t n = take(starts, ends, last, MANY, &at);
        const int64_t stride = half ? d + LINE : d;
        const float *a = copy, *following = copy;
        if (half) {
            widen((const uint16_t *)values + here.row * d, n, d, copy);
        } else {
            a = (const float *)values + here.row * d, following = (const float *)values + at.row * d;
            if (here.row + up(n, ROWS) > rows) a = memcpy(copy, a, n * d * sizeof(float)); /* what follows may not be read */
        }
        for (int64_t g = 0; g < groups; g += 2) {
            const int together = groups - g < 2 ? 1 : 2;
            Multiply *const multiply = together == 1 ? multiply1 : multiply2;
            memset(sums, 0, sizeof sums);
            const float *next = g + 2 < groups ? a : following;
            for (int64_t k = 0; k < d; k += PART)
                for (int64_t r = 0; r < n; r += ROWS)
                    multiply(a + r * stride + k, stride, d - k < PART ? d - k : PART, d - k, next + r * stride,
                             panel + g * size + k * COLUMNS, size, sums + r * 2 * COLUMNS);
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
(rows, d), float32, or where `half` bf16 that count as rows of norm 1; no document is empty. `panel` [group][d][16] is m
tokens, aligned to 64 bytes. On so many threads, each taking documents cuts[i] ... cuts[i + 1] as it comes free. Returns
0, or -1 where there is no memory. */
int smart_jobs_best_float(const int64_t *cuts, int64_t parts, int threads, int half, const void *values, int64_t rows,
                          const int64_t *starts, const int64_t *ends, const float *panel, int64_t m, int64_t d,
                          float *best) {
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(| : failed)
    for (int64_t i = 0; i < parts; i++)
        failed |= part_of(half, values, rows, starts, ends, cuts[i], cuts[i + 1], panel, m, d,
                          best + cuts[i] * up(m, COLUMNS));
    return failed;
}
