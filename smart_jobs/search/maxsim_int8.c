/* The best inner product of each document's tokens with each query token, straight from stored int8 codes.

A query token is a fixed-point number in one or three digits of base 256 (products.py). Its columns are packed once, 16
tokens and one digit to a tile: for every 4 dimensions the 4 bytes of token 0, of token 1, ... of token 15, which is what
both a tile of AMX and a register of VNNI multiply. Documents are taken as they lie, 32 rows at a time; what is read past
a row's end meets zeros.

Sums are int32 and exact on every path. What follows is float32 in the order of the torch path: the sums rounded, each
finer digit added divided by 256 (a power of two, so the same fused or not), times the row's factor, the maximum over
rows. So the result is the same to the bit, whatever the path, the company, or the number of threads. */

#define _GNU_SOURCE
#include "maxsim.h"
#include <sys/syscall.h>
#include <unistd.h>

enum { VNNI = 1, AMX = 2 };
enum { ROWS = 32, STEP = 64, TILE = COLUMNS * STEP, SLAB = ROWS * STEP + 64, MOST = 3 };

/* Bytes of packed columns that stay in a core's second cache (of 1 to 2 MB), and of documents that pass by them before
the next columns' turn: these come from the third. */
#define PANEL_BYTES (768 << 10)
#define CHUNK_BYTES (4 << 20)

#define WITH_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define WITH_AMX __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-int8")))

/* The paths that this CPU and its kernel allow, as bits. Linux gives a process the tiles' registers when it asks. */
int smart_jobs_paths(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 0;
    int found = __builtin_cpu_supports("avx512vnni") ? VNNI : 0;
    unsigned a, b, c, d = 0;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "0"(7), "2"(0));
    const unsigned tiles = 1u << 24 | 1u << 25; /* amx-tile, amx-int8: older compilers have no name for them */
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };
    if ((d & tiles) == tiles && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0) found |= AMX;
    return found;
}

/* Bytes of the packed columns of m tokens of d dimensions. */
int64_t smart_jobs_panel_bytes(int64_t m, int64_t d, int digits) {
    return up(m, COLUMNS) * up(d, STEP) * digits;
}

/* Pack the digits of `values` (m, d) into `panel`, aligned to 64 bytes, and fill `steps` (m): products.split,
to the bit. VNNI multiplies unsigned with signed bytes, so there a digit is 128 more. */
BASE void smart_jobs_pack(int path, const float *values, int64_t m, int64_t d, int digits, uint8_t *panel,
                          float *steps) {
    const int64_t deep = up(d, STEP);
    const __m128i more = _mm_set1_epi8(path == VNNI ? -128 : 0);
    const __m512i low = _mm512_set1_epi32(255), half = _mm512_set1_epi32(128);
    for (int64_t i = 0; i < m; i++) {
        const float *row = values + i * d;
        __m512 most = _mm512_setzero_ps();
        for (int64_t k = 0; k < d; k += 16) {
            const __mmask16 there = d - k < 16 ? (1u << (d - k)) - 1 : 0xffff;
            most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(there, row + k)));
        }
        const float step = _mm512_reduce_max_ps(most) / 127;
        steps[i] = step > 0 ? step : 1;
        const __m512d by = _mm512_set1_pd(steps[i]), scale = _mm512_set1_pd(65536);
        uint8_t *group = panel + i / COLUMNS * digits * COLUMNS * deep, *out = group + i % COLUMNS * 4;
        if (i % COLUMNS == 0 && m - i < COLUMNS) memset(group, 0, digits * COLUMNS * deep);
        for (int64_t k = 0; k < deep; k += 16) {
            const __mmask16 there = d <= k ? 0 : d - k < 16 ? (1u << (d - k)) - 1 : 0xffff;
            const __m512 x = _mm512_maskz_loadu_ps(there, row + k);
            const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
            const __m512d b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
            const __m256i p = _mm512_cvtpd_epi32(_mm512_mul_pd(_mm512_div_pd(a, by), scale));
            const __m256i q = _mm512_cvtpd_epi32(_mm512_mul_pd(_mm512_div_pd(b, by), scale));
            __m512i whole = _mm512_inserti64x4(_mm512_castsi256_si512(p), q, 1), digit[MOST];
            for (int n = MOST - 1; n > 0; n--) {
                digit[n] = _mm512_sub_epi32(_mm512_and_si512(_mm512_add_epi32(whole, half), low), half);
                whole = _mm512_srai_epi32(_mm512_sub_epi32(whole, digit[n]), 8);
            }
            digit[0] = whole;
            for (int n = 0; n < digits; n++) { /* past the end 0, as it is multiplied */
                const __m128i fours = _mm_maskz_mov_epi8(there, _mm_xor_si128(_mm512_cvtepi32_epi8(digit[n]), more));
                uint8_t *at = out + n * COLUMNS * deep + k * COLUMNS;
                _mm_storeu_si32(at, fours);
                _mm_storeu_si32(at + 64, _mm_shuffle_epi32(fours, 1));
                _mm_storeu_si32(at + 128, _mm_shuffle_epi32(fours, 2));
                _mm_storeu_si32(at + 192, _mm_shuffle_epi32(fours, 3));
            }
        }
    }
}

/* What is still to be done with the sums of a block: put the maxima over its n rows, of which row r comes next, into
`best` of the documents that they belong to, `width` apart. `row` says where in all rows the block begins, `starts` and
`ends` where the documents do. */
typedef struct Put {
    void (*some)(struct Put *, int64_t);
    const int32_t *c;
    int64_t r, n, row, width;
    const float *factors;
    const int64_t *starts, *ends;
    float *best;
} Put;

/* The next rows of them, of `tokens` tiles of tokens in `digits` digits. */
#define PUT(name, digits, tokens)                                                                                \
    BASE static void name(Put *put, int64_t rows) {                                                              \
        const int64_t until = put->n - put->r < rows ? put->n : put->r + rows;                                   \
        const __m512 finer = _mm512_set1_ps(1.0f / 256);                                                         \
        int64_t r = put->r;                                                                                      \
        while (r < until) {                                                                                      \
            const int64_t ends = *put->ends - put->row, end = ends < until ? ends : until;                       \
            __m512 most[tokens];                                                                                 \
            const int new = put->row + r == *put->starts; /* memory that nobody has written to, nor waits for */    \
            for (int i = 0; i < tokens; i++)                                                                     \
                most[i] = new ? _mm512_set1_ps(-INFINITY) : _mm512_loadu_ps(put->best + i * COLUMNS);            \
            for (; r < end; r++) {                                                                               \
                const __m512 factor = _mm512_set1_ps(put->factors[r]);                                           \
                for (int i = 0; i < tokens; i++) {                                                               \
                    const int32_t *sums = put->c + (i * digits * ROWS + r) * COLUMNS;                            \
                    __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums + (digits - 1) * ROWS * COLUMNS));    \
                    for (int t = digits - 2; t >= 0; t--)                                                        \
                        sum = _mm512_fmadd_ps(sum, finer,                                                        \
                                              _mm512_cvtepi32_ps(_mm512_load_si512(sums + t * ROWS * COLUMNS))); \
                    most[i] = _mm512_max_ps(_mm512_mul_ps(sum, factor), most[i]);                                \
                }                                                                                                \
            }                                                                                                    \
            for (int i = 0; i < tokens; i++) _mm512_storeu_ps(put->best + i * COLUMNS, most[i]);                 \
            if (r == ends) put->starts++, put->ends++, put->best += put->width;                                                 \
        }                                                                                                        \
        put->r = r;                                                                                              \
    }
PUT(put1, 1, 1)
PUT(put1by2, 1, 2)
PUT(put3, 3, 1)

/* What a block of ROWS rows is multiplied as: 64 dimensions from `a` on, of rows `stride` bytes apart, the next 64 `step`
bytes on, to `deep` dimensions; the sums go to `c` [tile][ROWS][COLUMNS]. Meanwhile what comes later is fetched, none
where `ahead` is NULL, and `before` is done, which the block before left to do: float32 beside the tiles. */
typedef struct {
    const int8_t *a, *ahead;
    int64_t stride, step, deep, from, page, until;
    int32_t *c;
    Put *before;
    const int32_t *shifts; /* of VNNI: what the 128 more add to each row, to be taken off */
} Block;

/* With every 64 dimensions as many bytes are fetched, ROWS · 64, from the `from`-th on after `ahead`. In the order of
memory a core gets two thirds of what it gets from several places in turn, as what reads ahead for its second cache does so in
every page that is being read. So they are fetched a SPAN at a time, a BIT of each of its pages in turn. EARLY: how far ahead. Where
the block is multiplied with several columns, each time of some pages, `page` ... `until`, SOME at a time. */
enum { PAGE = 4096, PAGES = 16, SPAN = PAGES * PAGE, BIT = ROWS * STEP / PAGES, EARLY = SPAN + 2 * PAGE, SOME = 4 };

#define FETCH(block, k, first, last)                                                                             \
    if ((block)->ahead) {                                                                                        \
        const int64_t from = (block)->from + (k) * ROWS;                                                         \
        const int8_t *bits = (block)->ahead + (from & -SPAN) + from % SPAN / (ROWS * STEP) * BIT;                \
        for (int64_t pages = first; pages < last; pages += SOME)                                                 \
            for (int page = 0; page < SOME; page++)                                                              \
                for (int line = 0; line < BIT; line += 64)                                                       \
                    _mm_prefetch(bits + (pages + page) * PAGE + line, _MM_HINT_T1);                              \
    }

/* GCC's intrinsics of AMX do not say that they read memory: what was written before has to be there. */
#define WRITTEN() __asm__ volatile("" ::: "memory")

/* Two tiles of rows by 3, 2 or 1 of columns. A tile's product takes 16 cycles, a tile from the first cache 8: with three
two digits are loaded twice, as six sums leave two tiles. */
#define AMX_BY(n, zeros, products, stores)                                                        \
    WITH_AMX static void amx##n(const Block *block, const uint8_t *b) {                           \
        const int8_t *a = block->a;                                                               \
        const int64_t stride = block->stride, each = ROWS / (block->deep / STEP) + 1;             \
        const int64_t size = COLUMNS * block->deep;                                               \
        (void)size; /* of one tile of columns there is no next */                                 \
        WRITTEN();                                                                                \
        zeros;                                                                                    \
        for (int64_t k = 0; k < block->deep; k += STEP, a += block->step, b += TILE) {            \
            FETCH(block, k, block->page, block->until);                                           \
            block->before->some(block->before, each);                                             \
            products;                                                                             \
        }                                                                                         \
        int32_t *c = block->c;                                                                    \
        stores;                                                                                   \
    }
#define ROWS_A(tile) _tile_loadd(tile, a, stride)
#define ROWS_B(tile) _tile_loadd(tile, a + 16 * stride, stride)
#define DIGIT(number) _tile_loadd(7, b + number * size, 64)
#define STORED(tile, place) _tile_stored(tile, c + (place) * 256, 64)
#define ZERO2(i, j) _tile_zero(i); _tile_zero(j)
AMX_BY(1, ZERO2(0, 1),
       ROWS_A(4); _tile_loadd(6, b, 64); _tile_dpbssd(0, 4, 6);
       ROWS_B(5); _tile_dpbssd(1, 5, 6),
       STORED(0, 0); STORED(1, 1))
AMX_BY(2, ZERO2(0, 1); ZERO2(2, 3),
       ROWS_A(4); _tile_loadd(6, b, 64); _tile_dpbssd(0, 4, 6);
       ROWS_B(5); _tile_dpbssd(1, 5, 6);
       _tile_loadd(7, b + size, 64); _tile_dpbssd(2, 4, 7); _tile_dpbssd(3, 5, 7),
       STORED(0, 0); STORED(1, 1); STORED(2, 2); STORED(3, 3))
AMX_BY(3, ZERO2(0, 1); ZERO2(2, 3); ZERO2(4, 5),
       ROWS_A(6); DIGIT(0); _tile_dpbssd(0, 6, 7); DIGIT(1); _tile_dpbssd(1, 6, 7); DIGIT(2); _tile_dpbssd(2, 6, 7);
       ROWS_B(6); _tile_dpbssd(5, 6, 7); DIGIT(1); _tile_dpbssd(4, 6, 7); DIGIT(0); _tile_dpbssd(3, 6, 7),
       STORED(0, 0); STORED(3, 1); STORED(1, 2); STORED(4, 3); STORED(2, 4); STORED(5, 5))

/* All eight tiles are 16 rows of 64 bytes. Constant: GCC's intrinsic does not say that it reads more than a pointer. */
WITH_AMX static void amx_begin(void) {
    static const struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } config = {
        1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&config);
}

WITH_AMX static void amx_end(void) { _tile_release(); }

/* Eight rows at a time by `n` tiles of columns: 24 sums, 3 columns and a row are 28 of the 32 registers. */
#define VNNI_BY(n)                                                                                               \
    WITH_VNNI static void vnni##n(const Block *block, const uint8_t *b) {                                        \
        const int64_t size = COLUMNS * block->deep;                                                              \
        block->before->some(block->before, ROWS);                                                                \
        for (int first = 0; first < ROWS; first += 8) {                                                          \
            __m512i sums[8][n];                                                                                  \
            for (int r = 0; r < 8; r++)                                                                          \
                for (int t = 0; t < n; t++) sums[r][t] = _mm512_set1_epi32(block->shifts[first + r]);            \
            const int8_t *a = block->a + first * block->stride;                                                  \
            const int64_t own = first * PAGES / ROWS, page = own < block->page ? block->page : own;              \
            const int64_t until = own + SOME < block->until ? own + SOME : block->until;                         \
            for (int64_t k = 0; k < block->deep; k += STEP, a += block->step) {                                  \
                FETCH(block, k, page, until);                                                                    \
                for (int64_t four = 0; four < STEP; four += 4) {                                                 \
                    __m512i columns[n];                                                                          \
                    for (int t = 0; t < n; t++)                                                                  \
                        columns[t] = _mm512_load_si512(b + t * size + (k + four) * COLUMNS);                     \
                    for (int r = 0; r < 8; r++) {                                                                \
                        int32_t codes;                                                                           \
                        memcpy(&codes, a + r * block->stride + four, 4);                                         \
                        const __m512i row = _mm512_set1_epi32(codes);                                            \
                        for (int t = 0; t < n; t++) sums[r][t] = _mm512_dpbusd_epi32(sums[r][t], columns[t], row); \
                    }                                                                                            \
                }                                                                                                \
            }                                                                                                    \
            for (int r = 0; r < 8; r++)                                                                          \
                for (int t = 0; t < n; t++)                                                                      \
                    _mm512_store_si512(block->c + (t * ROWS + first + r) * COLUMNS, sums[r][t]);                 \
        }                                                                                                        \
    }
VNNI_BY(1)
VNNI_BY(2)
VNNI_BY(3)

/* Copy n rows of d codes, w bytes apart, to where their tiles lie one after the other: 64 dimensions of each of ROWS
rows, then the next. For rows that are multiplied more than twice: as they lie they may cross lines, and at a width of
2,048 they share two of the first cache's sets. The rest of a row's last 64 are zeros, rows past n what they were. */
BASE static void gather(const int8_t *codes, int64_t w, int64_t n, int64_t d, int8_t *a) {
    for (int64_t r = 0; r < n; r++)
        for (int64_t k = 0; k < d; k += STEP) {
            const __mmask64 there = d - k < STEP ? (1ull << (d - k)) - 1 : ~0ull;
            _mm512_store_si512(a + k / STEP * SLAB + r * STEP, _mm512_maskz_loadu_epi8(there, codes + r * w + k));
        }
}

/* shifts[r] = -128 · the sum of the first d codes of row r. */
WITH_VNNI static void shifts_of(const Block *block, int64_t d, int32_t *shifts) {
    const __m512i ones = _mm512_set1_epi8(1);
    for (int r = 0; r < ROWS; r++) {
        __m512i sum = _mm512_setzero_si512();
        for (int64_t k = 0; k < d; k += STEP) {
            const __mmask64 there = d - k < STEP ? (1ull << (d - k)) - 1 : ~0ull;
            const int8_t *codes = block->a + k / STEP * block->step + r * block->stride;
            sum = _mm512_dpbusd_epi32(sum, ones, _mm512_maskz_loadu_epi8(there, codes));
        }
        shifts[r] = -128 * _mm512_reduce_add_epi32(sum);
    }
}

typedef void Multiply(const Block *, const uint8_t *);

/* Documents first ... last that lie one after the other, from a byte of the page at `base` on to `end`. */
typedef struct {
    const int8_t *base, *end;
    int64_t first, last;
} Run;

/* The run that begins with document `first`; one without documents where there are none. */
static Run run_of(const int8_t *codes, int64_t w, const int64_t *starts, const int64_t *ends, int64_t first,
                  int64_t last) {
    if (first == last) return (Run){NULL, NULL, first, last};
    int64_t next = first + 1;
    while (next < last && starts[next] == ends[next - 1]) next++;
    const int8_t *begin = codes + starts[first] * w;
    return (Run){begin - (uintptr_t)begin % PAGE, codes + ends[next - 1] * w, first, next};
}

/* What is fetched while the row at `at` is multiplied: of its run, and behind that of the next. Where the run is shorter
than EARLY that begins with the next one's first byte nevertheless. */
static const int8_t *later(const Run *run, const Run *next, const int8_t *at, int64_t *from) {
    const int64_t done = at - run->base, past = done + EARLY - (run->end - run->base);
    *from = past < 0 ? done + EARLY : past < done ? past : done;
    return past < 0 ? run->base : next->base;
}

/* smart_jobs_best_int8 of documents first ... last. */
BASE static int part_of(int path, const int8_t *codes, int64_t rows, int64_t w, const float *factors,
                        const int64_t *starts, const int64_t *ends, int64_t first, int64_t last, const uint8_t *panel,
                        int64_t m, int64_t d, int digits, float *best) {
    static Multiply *const by_tiles[] = {amx1, amx2, amx3}, *const by_rows[] = {vnni1, vnni2, vnni3};
    Multiply *const *multiply = path == AMX ? by_tiles : by_rows;
    const int64_t deep = up(d, STEP), width = up(m, COLUMNS), groups = width / COLUMNS, size = COLUMNS * deep;
    const int64_t at_once = digits == 1 ? 2 : 1; /* groups of tokens that are multiplied together */
    const int64_t resident = PANEL_BYTES / (digits * size) / at_once * at_once;
    const int64_t turn = resident < at_once ? at_once : resident;
    const int64_t chunk = groups <= turn ? INT64_MAX : up(CHUNK_BYTES / w, ROWS);
    _Alignas(64) int32_t sums[2][MOST * ROWS * COLUMNS], shifts[ROWS];
    int8_t *a = aligned_alloc(64, deep / STEP * SLAB);
    if (!a) return -1;
    memset(a, 0, deep / STEP * SLAB);
    if (path == AMX) amx_begin();
    Put put = {.some = put1};
    Run run = {NULL, NULL, first, first}, next = run;
    int odd = 0;
    for (Cursor begin = {first, starts[first]}, at = begin; begin.document < last; begin = at)
        for (int64_t group = 0; group < groups; group += turn) {
            const int64_t until = group + turn < groups ? group + turn : groups;
            at = begin;
            for (int64_t done = 0; done < chunk && at.document < last;) {
                const Cursor here = at;
                const int64_t n = take(starts, ends, last, ROWS, &at);
                Block block = {codes + here.row * w, NULL, w, STEP, deep, 0, 0, 0, NULL, &put, shifts};
                if (here.document < run.first || here.document >= run.last) {
                    run = run_of(codes, w, starts, ends, here.document, last);
                    next = run_of(codes, w, starts, ends, run.last, last);
                }
                block.ahead = later(&run, &next, block.a, &block.from);
                if (until - group > 2 || (here.row + ROWS - 1) * w + deep > rows * w) {
                    gather(block.a, w, n, d, a); /* the last rows too: what follows them may not be read */
                    block.a = a, block.stride = STEP, block.step = SLAB;
                }
                if (path == VNNI) shifts_of(&block, d, shifts);
                const int64_t documents = at.document - here.document + (at.document < last);
                for (int64_t g = group; g < until; g += at_once, odd ^= 1) {
                    const int64_t together = until - g < at_once ? until - g : at_once;
                    block.c = sums[odd];
                    block.page = block.until, block.until = up(PAGES * (g - group + together) / (until - group), SOME);
                    multiply[together * digits - 1](&block, panel + g * digits * size);
                    put = (Put){together == 2 ? put1by2 : digits == 1 ? put1 : put3,
                                sums[odd], 0, n, here.row, width, factors + here.row, starts + here.document, ends + here.document,
                                best + (here.document - first) * width + g * COLUMNS};
                    for (int64_t i = 0; i < documents; i++) _mm_prefetch(put.best + i * width, _MM_HINT_T0);
                }
                done += n;
            }
        }
    put.some(&put, ROWS);
    if (path == AMX) amx_end();
    free(a);
    return 0;
}

/* best (documents, m rounded up to 16) float32 of all documents, of which document i is rows starts[i] ... ends[i] of
`codes` (rows, w) int8 with `factors` (rows,); no document is empty. `panel` is what smart_jobs_pack made of m tokens of
d ≤ w dimensions for the same path. On so many threads, each taking documents cuts[i] ... cuts[i + 1] as it comes free.
Returns 0, or -1 where there is no memory. */
int smart_jobs_best_int8(const int64_t *cuts, int64_t parts, int threads, int path, const int8_t *codes, int64_t rows,
                         int64_t w, const float *factors, const int64_t *starts, const int64_t *ends,
                         const uint8_t *panel, int64_t m, int64_t d, int digits, float *best) {
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(| : failed)
    for (int64_t i = 0; i < parts; i++)
        failed |= part_of(path, codes, rows, w, factors, starts, ends, cuts[i], cuts[i + 1], panel, m, d, digits,
                          best + cuts[i] * up(m, COLUMNS));
    return failed;
}
