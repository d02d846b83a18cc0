/* The decoder's network in single precision, without BLAS: one more token of each of N sequences.
 *
 * Every sum has one order, so a row's logits have the same bits whatever other rows there are,
 * on however many threads, and on every processor of an architecture. Compile with
 * -ffp-contract=off and without -ffast-math. Knows integers; knows no music.
 *
 * Called through ctypes (compiled_network.py), which releases the interpreter's lock, or from C by
 * the address of `bicinium_step`. A network is only read: threads may share it.
 */
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#define HAS_TILES /* AMX; Linux wants to be asked */
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define AT_ONCE 64 /* rows that go through the network together */

typedef struct {
    int64_t count;
    Sequence *sequences;
    const int64_t *which;  /* (count,) the sequence of each row */
    const int32_t *inputs; /* (count, columns + skipped + 1) */
} Rows;

/* What is computed on the way, a row a stride. */
typedef struct {
    int64_t stride, qkv_stride, hidden_stride, active_stride, said_stride, whole_stride;
    float *x, *y, *z, *qkv, *hidden, *active, *said;
    float *scores; /* (context,) */
    int16_t *whole; /* rows of 16 bits */
    int8_t *high, *low; /* (tiled rows, whole_stride) the two bytes of `whole` */
    int16_t *weights; /* (context,) */
    float *scales;  /* (rows,) what 1 of them is worth */
    float *turns;  /* (rows, 2, 2, half): cosines and sines by token, then by tick */
    int64_t *position;
} Scratch;

static int64_t padded(int64_t count) { return (count + PANEL - 1) / PANEL * PANEL; }

static int64_t fourfold(int64_t count) { return (count + 3) / 4 * 4; }

/* Of each output of a matrix in bytes, so many weights are kept: a tile takes 64. */
static int64_t deep(int64_t inputs) { return (inputs + 63) / 64 * 64; }

/* The place of a byte among four: the second and the third are exchanged. */
static inline int64_t exchanged(int64_t i) { return (i & 1) << 1 | i >> 1; }

/* Of a sequence's memory, what a layer takes. */
static int64_t bytes_of_layer(const Network *net, int64_t context) {
    if (!net->bytes) return padded(context) * 2 * net->width * (int64_t)sizeof(float);
    const int64_t size = net->width / net->heads;
    return padded(context) * net->heads * (fourfold(size) + size + 2 * (int64_t)sizeof(float));
}

#define INLINE TARGET static inline __attribute__((always_inline))

/* ---------------------------------------------------------------- for each instruction set */

static inline float half_to_float(uint16_t half) {
    const uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t infinite = (half & 0x7c00) == 0x7c00 ? 0x70000000u : 0;
    float value;
    memcpy(&value, &bits, 4);
    value *= 0x1p112f;
    uint32_t out;
    memcpy(&out, &value, 4);
    out = (infinite ? bits + infinite : out) | (uint32_t)(half & 0x8000) << 16;
    memcpy(&value, &out, 4);
    return value;
}

#define TARGET
#define WIDTH 4
#define ROWS 2
#define NAME(name) plain_##name
#if defined(__aarch64__)
#undef ROWS
#define ROWS 6
#define LOAD_HALF(p) vcvt_f32_f16(vld1_f16((const __fp16 *)(p)))
#else
#define LOAD_HALF(p)                                                                          \
    (lanes){half_to_float((p)[0]), half_to_float((p)[1]), half_to_float((p)[2]),              \
            half_to_float((p)[3])}
#endif
#if defined(__x86_64__)
#define PAIRS __m128i
#define LOAD_PAIRS(p) _mm_loadu_si128((const __m128i *)(p))
#define EVEN_BYTES(four) _mm_srai_epi16(_mm_slli_epi16(four, 8), 8)
#define ODD_BYTES(four) _mm_srai_epi16(four, 8)
#define ALL_PAIRS(pair) _mm_set1_epi32(pair)
#define ADD_PAIRS(sum, a, b) _mm_add_epi32((__m128i)(sum), _mm_madd_epi16(a, b))
#else
typedef int16_t Pairs __attribute__((vector_size(16)));
typedef int32_t Four __attribute__((vector_size(16)));
#define PAIRS Pairs
#define LOAD_PAIRS(p) loaded(p)
#define EVEN_BYTES(four) (((four) << 8) >> 8)
#define ODD_BYTES(four) ((four) >> 8)
#define ALL_PAIRS(pair) ((Pairs)((Four){0} + (pair)))
#define ADD_PAIRS(sum, a, b) ((sum) + times(a, b))
static inline Pairs loaded(const int8_t *bytes) {
    Pairs pairs;
    memcpy(&pairs, bytes, sizeof pairs);
    return pairs;
}
static inline Four times(Pairs a, Pairs b) {
    Four sum;
    for (int i = 0; i < 4; i++) sum[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    return sum;
}
#endif
#include "_network_kernels.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,f16c")))
#define WIDTH 8
#define ROWS 6
#define NAME(name) avx2_##name
#define LOAD_HALF(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define PAIRS __m256i
#define LOAD_PAIRS(p) _mm256_loadu_si256((const __m256i *)(p))
#define EVEN_BYTES(four) _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8)
#define ODD_BYTES(four) _mm256_srai_epi16(four, 8)
#define ALL_PAIRS(pair) _mm256_set1_epi32(pair)
#define ADD_PAIRS(sum, a, b) _mm256_add_epi32((__m256i)(sum), _mm256_madd_epi16(a, b))
#include "_network_kernels.h"

#define WIDE "avx512f,avx512vl,avx512bw,f16c"
#define TARGET __attribute__((target(WIDE)))
#define NAME(name) avx512_##name
#define ADD_PAIRS(sum, a, b) _mm512_add_epi32((__m512i)(sum), _mm512_madd_epi16(a, b))
#include "_network_avx512.h"

#define TARGET __attribute__((target(WIDE ",avx512vnni")))
#define NAME(name) vnni_##name
#define ADD_PAIRS(sum, a, b) _mm512_dpwssd_epi32((__m512i)(sum), a, b)
#include "_network_avx512.h"

#if defined(HAS_TILES)
#include "_network_tiles.h"
#define TILES
#define TARGET __attribute__((target(WIDE ",avx512vnni")))
#define NAME(name) tiles_##name
#define ADD_PAIRS(sum, a, b) _mm512_dpwssd_epi32((__m512i)(sum), a, b)
#include "_network_avx512.h"
#undef TILES
#endif
#endif

/* ---------------------------------------------------------------- in double precision, once */

/* Cosines and sines of `place` times each speed: pi / 2 in two parts (Cody and Waite), then the
 * polynomials of fdlibm. Good to single precision for places up to 2^24. */
static void turns(double place, const float *speeds, int64_t count, float *cosine, float *sine) {
    for (int64_t i = 0; i < count; i++) {
        double angle = place * (double)speeds[i];
        double quarters = floor(angle * 0.63661977236758134308 + 0.5);
        double x = angle - quarters * 1.57079632673412561417e+00;
        x = x - quarters * 6.07710050650619224932e-11;
        double z = x * x;
        double s = x + x * z * (-1.66666666666666324348e-01 + z * (8.33333333332248946124e-03
            + z * (-1.98412698298579493134e-04 + z * (2.75573137070700676789e-06
            + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
        double c = 1 - 0.5 * z + z * z * (4.16666666666666019037e-02
            + z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05
            + z * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09
            + z * -1.13596475577881948265e-11)))));
        int64_t turn = (int64_t)quarters & 3;
        double co = turn & 1 ? s : c, si = turn & 1 ? c : s;
        cosine[i] = (float)(turn == 1 || turn == 2 ? -co : co);
        sine[i] = (float)(turn >= 2 ? -si : si);
    }
}

static int prepare(const Network *net, int64_t rows, int64_t context, Scratch *s) {
    const int64_t half = net->width / net->heads / 2;
    s->stride = padded(net->width);
    s->qkv_stride = net->layer->qkv.outputs;
    s->hidden_stride = net->layer->gate_up.outputs;
    s->active_stride = padded(net->hidden);
    s->said_stride = net->head.outputs;
    s->whole_stride = deep(net->hidden > net->width ? net->hidden : net->width);
    const int64_t row = 3 * s->stride + s->qkv_stride + s->hidden_stride + s->active_stride
                        + s->said_stride + 4 * half + 3 + s->whole_stride / 2;
    const int64_t plane = padded(rows) * s->whole_stride; /* bytes */
    float *at = malloc((rows * row + 2 * padded(context) + 16 * PANEL) * sizeof(float) + 2 * plane);
    if (!at) return -1;
    s->position = (int64_t *)at, at += 2 * rows;
    s->x = at, at += rows * s->stride;
    s->y = at, at += rows * s->stride;
    s->z = at, at += rows * s->stride;
    s->qkv = at, at += rows * s->qkv_stride;
    s->hidden = at, at += rows * s->hidden_stride;
    s->active = at, at += rows * s->active_stride;
    s->said = at, at += rows * s->said_stride;
    s->turns = at, at += rows * 4 * half;
    s->scales = at, at += rows;
    s->whole = (int16_t *)at, at += rows * s->whole_stride / 2;
    s->weights = (int16_t *)at, at += padded(context) + PANEL;
    s->scores = at, at += padded(context) + PANEL;
    s->high = (int8_t *)(((uintptr_t)at + 63) / 64 * 64), s->low = s->high + plane;
    return 0;
}

/* Takes each row's position in its sequence and what its queries and keys turn by. */
static void take_places(const Network *net, const Rows *rows, Scratch *s) {
    const int64_t half = net->width / net->heads / 2, columns = net->columns + net->skipped + 1;
    for (int64_t row = 0; row < rows->count; row++) {
        s->position[row] = rows->sequences[rows->which[row]].length++;
        float *turn = s->turns + row * 4 * half;
        if (net->time_heads < net->heads)
            turns((double)s->position[row], net->speeds, half, turn, turn + half);
        const double tick = rows->inputs[(row + 1) * columns - 1];
        if (net->time_heads)
            turns(tick, net->speeds + (net->heads - 1) * half, half, turn + 2 * half,
                  turn + 3 * half);
    }
}

/* The logits of one row. To those of notes that may begin is added what speaks for their distance
 * from each reference, to that of the held note's end what speaks for an end. */
static void conclude(const Network *net, const float *said, const int32_t *input, float *logits) {
    memcpy(logits, said, net->vocabulary * sizeof(float));
    if (!net->references) return;
    const int32_t *reference = input + net->columns;
    const int64_t farthest = net->distances / 2;
    said += net->vocabulary;
    for (int64_t pitch = 0; pitch < net->pitches; pitch++) {
        float sum = 0;
        for (int64_t r = 0; r < net->references; r++) {
            int64_t distance = pitch - reference[r];
            distance = distance < -farthest ? -farthest : distance > farthest ? farthest : distance;
            sum += said[r * net->distances + distance + farthest];
        }
        logits[net->first_note_on + pitch] += sum;
    }
    logits[net->first_note_off + reference[0]] += said[net->references * net->distances];
}

/* The bytes that a sequence's memory takes, a multiple of 64. */
EXPORT int64_t bicinium_memory(const Network *net, int64_t context) {
    const int64_t bytes = net->layers * bytes_of_layer(net, context);
    return (bytes + 64 + 63) / 64 * 64; /* 64: a register may read beyond the last value */
}

typedef void (*Step)(const Network *, const Rows *, Scratch *);

enum { PLAIN, AVX2, AVX512, VNNI, WITH_TILES }; /* PLAIN: what every processor has */

static Step step_of(int64_t instructions) {
    switch (instructions) {
        case PLAIN: return plain_step;
#if defined(__x86_64__)
        case AVX2: return avx2_step;
        case AVX512: return avx512_step;
        case VNNI: return vnni_step;
#if defined(HAS_TILES)
        case WITH_TILES: return tiles_step;
#endif
#endif
        default: return NULL;
    }
}

/* The best instruction set of this processor, to be given to `bicinium_step`. */
EXPORT int64_t bicinium_instructions(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512bw")) {
        if (!__builtin_cpu_supports("avx512vnni")) return AVX512;
#if defined(HAS_TILES)
        if (may_use_tiles()) return WITH_TILES;
#endif
        return VNNI;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c")) return AVX2;
#endif
    return PLAIN;
}

/* One more token of each row's sequence: (count, vocabulary) logits of what follows it.
 *
 * Rows of one sequence follow one another. Sequences may have any lengths; one whose length is
 * set to 0 begins anew. Returns 0; -1 where there is no memory, -2 no such instruction set. */
EXPORT int64_t bicinium_step(
    const Network *net, Sequence *sequences, int64_t count, const int64_t *which,
    const int32_t *inputs, float *logits, int64_t instructions
) {
    Step step = step_of(instructions);
    if (!step) return -2;
    int64_t context = 0;
    for (int64_t row = 0; row < count; row++)
        if (sequences[which[row]].context > context) context = sequences[which[row]].context;
    Scratch scratch;
    if (prepare(net, count < AT_ONCE ? count : AT_ONCE, context, &scratch)) return -1;
    const int64_t columns = net->columns + net->skipped + 1;
    const int64_t parts = (count + AT_ONCE - 1) / AT_ONCE;
    for (int64_t part = 0; part < parts; part++) {
        const int64_t first = count * part / parts, end = count * (part + 1) / parts;
        Rows rows = {end - first, sequences, which + first, inputs + first * columns};
        take_places(net, &rows, &scratch);
        step(net, &rows, &scratch);
        for (int64_t row = 0; row < rows.count; row++)
            conclude(net, scratch.said + row * scratch.said_stride, rows.inputs + row * columns,
                     logits + (first + row) * net->vocabulary);
    }
    free(scratch.position);
    return 0;
}

/* A module without functions, so that the build places and names the library like any other. */
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_network", .m_size = 0};

PyMODINIT_FUNC PyInit__network(void) { return PyModuleDef_Init(&definition); }
