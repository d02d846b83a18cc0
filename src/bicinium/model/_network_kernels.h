/* The network, written once and compiled for each instruction set (see _network.c).
 *
 * WIDTH floats fill a register, ROWS rows are multiplied at a time. Neither touches the order in
 * which anything is summed: every element of a product is summed over the inputs in their order,
 * and what runs along a row is summed in 16 lanes, which are then added in one fixed order. So
 * the same bits come out for every instruction set, number of rows and company.
 */

typedef float NAME(lanes) __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef int32_t NAME(ints) __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
#define lanes NAME(lanes)
#define ints NAME(ints)
#define VECTORS (PANEL / WIDTH)

INLINE lanes NAME(all)(float value) { return value - (lanes){0}; }

/* ---------------------------------------------------------------- elementwise */

INLINE lanes NAME(select)(ints mask, lanes yes, lanes no) {
    return (lanes)(((ints)yes & mask) | ((ints)no & ~mask));
}

/* e to the power of x, to 2 units in the last place; 0 or infinity are never reached. */
INLINE lanes NAME(exp)(lanes x) {
    const lanes low = NAME(all)(-87.0f), high = NAME(all)(88.0f);
    x = NAME(select)(x < low, low, x);
    x = NAME(select)(x > high, high, x);
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    lanes shifted = x * 1.44269504f + magic;
    lanes n = shifted - magic;
    lanes r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    lanes p = NAME(all)(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    ints power = ((ints)shifted - (ints)NAME(all)(magic)) << 23;
    return (lanes)((ints)p + power);
}

/* The sum of 16 lanes, always in this order. */
INLINE float NAME(total)(const float *lane) {
    float eight[8], four[4];
    for (int i = 0; i < 8; i++) eight[i] = lane[i] + lane[i + 8];
    for (int i = 0; i < 4; i++) four[i] = eight[i] + eight[i + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* RMSNorm (arXiv:1910.07467): y = x / sqrt(mean(x^2) + 1e-6) * scale. */
TARGET static void NAME(normalise)(
    const float *x, const float *scale, float *y, int64_t rows, int64_t width, int64_t stride
) {
    for (int64_t row = 0; row < rows; row++, x += stride, y += stride) {
        float lane[PANEL] = {0};
        int64_t i = 0;
        for (; i + PANEL <= width; i += PANEL)
            for (int j = 0; j < PANEL; j++) lane[j] += x[i + j] * x[i + j];
        for (int j = 0; i + j < width; j++) lane[j] += x[i + j] * x[i + j];
        float size = sqrtf(NAME(total)(lane) / (float)width + 1e-6f);
        for (i = 0; i < width; i++) y[i] = x[i] / size * scale[i];
    }
}

/* SwiGLU (arXiv:2002.05202): y = gate / (1 + exp(-gate)) * up, hidden being (gate, up). */
TARGET static void NAME(swiglu)(
    const float *hidden, int64_t hidden_stride, float *y, int64_t stride, int64_t rows,
    int64_t width
) {
    for (int64_t row = 0; row < rows; row++, hidden += hidden_stride, y += stride)
        for (int64_t i = 0; i < width; i += WIDTH) { /* beyond the width: what nobody reads */
            lanes gate = *(const lanes *)(hidden + i), up = *(const lanes *)(hidden + width + i);
            *(lanes *)(y + i) = gate / (1.0f + NAME(exp)(-gate)) * up;
        }
}

/* ---------------------------------------------------------------- products */

/* y = x times `panels` panels, for `rows` rows: as many sums as there are registers for. */
INLINE void NAME(tile)(
    const float *x, int64_t x_stride, const void *panel, const int half, float *y,
    int64_t y_stride, int64_t inputs, const int rows, const int panels
) {
    lanes sum[ROWS][4 * VECTORS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (int v = 0; v < panels * VECTORS; v++) sum[r][v] = (lanes){0};
    for (int64_t k = 0; k < inputs; k++) {
        lanes weight[4 * VECTORS];
#pragma GCC unroll 16
        for (int v = 0; v < panels * VECTORS; v++) {
            const int64_t at = (v / VECTORS * inputs + k) * PANEL + v % VECTORS * WIDTH;
            weight[v] = half ? (lanes)LOAD_HALF((const uint16_t *)panel + at)
                             : *(const lanes *)((const float *)panel + at);
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const lanes input = NAME(all)(x[r * x_stride + k]);
#pragma GCC unroll 16
            for (int v = 0; v < panels * VECTORS; v++) sum[r][v] += input * weight[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (int v = 0; v < panels * VECTORS; v++)
            *(lanes *)(y + r * y_stride + v * WIDTH) = sum[r][v];
}

INLINE void NAME(some_rows)(
    const float *x, int64_t x_stride, const void *panel, const int half, float *y,
    int64_t y_stride, int64_t inputs, int64_t rows, const int panels
) {
#define CASE(N)                                                                               \
    case N:                                                                                   \
        NAME(tile)(x, x_stride, panel, half, y, y_stride, inputs, N <= ROWS ? N : 1, panels);   \
        return;
    switch (rows) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
    }
#undef CASE
}

/* Each panel is brought in once and multiplied with all rows while it is near. */
INLINE void NAME(panels)(
    const float *x, int64_t x_stride, const Matrix *m, const int half, float *y,
    int64_t y_stride, int64_t rows
) {
    const char *panel = m->panels;
    const int64_t size = m->inputs * PANEL * (half ? 2 : 4), count = m->outputs / PANEL;
    const int64_t groups = (rows + ROWS - 1) / ROWS;
    int64_t p = 0;
    for (; rows == 1 && p + 4 <= count; p += 4) /* enough sums to hide how long each takes */
        NAME(tile)(x, x_stride, panel + p * size, half, y + p * PANEL, y_stride, m->inputs, 1, 4);
    for (; rows == 2 && p + 2 <= count; p += 2)
        NAME(tile)(x, x_stride, panel + p * size, half, y + p * PANEL, y_stride, m->inputs, 2, 2);
    for (; p < count; p++)
        for (int64_t g = 0; g < groups; g++) {
            const int64_t first = rows * g / groups, end = rows * (g + 1) / groups;
            NAME(some_rows)(x + first * x_stride, x_stride, panel + p * size, half,
                            y + first * y_stride + p * PANEL, y_stride, m->inputs, end - first, 1);
        }
}

/* ---------------------------------------------------------------- products of whole numbers */

/* Weights are bytes, each output with its scale; rows of x are rounded to 16 bits, each with its
 * scale. The sums are whole numbers, hence exact in any order.
 *
 * Four weights of an output lie together, the second and the third exchanged: the even bytes of 32
 * bits are then those of the first two inputs, the odd bytes those of the last two. */

/* What inputs may be at most, so that a sum of products with bytes stays below 2^31. */
INLINE int64_t NAME(limit)(int64_t inputs) {
    const int64_t most = INT32_MAX / (127 * inputs);
    return most < INT16_MAX ? most : INT16_MAX;
}

/* Rounds x to whole numbers of at most `limit`, and returns what 1 of them is worth. */
INLINE float NAME(whole)(const float *x, int64_t count, int64_t limit, int16_t *y) {
    ints mosts = {0}; /* floats above 0 are ordered like their bits */
    int64_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const ints size = *(const ints *)(x + i) & 0x7fffffff, more = size > mosts;
        mosts = (size & more) | (mosts & ~more);
    }
    float most = 0;
    for (; i < count; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    for (int j = 0; j < WIDTH; j++) {
        float size;
        memcpy(&size, (const int32_t *)&mosts + j, sizeof size);
        most = size > most ? size : most;
    }
    const float magic = 12582912.0f, times = most > 1e-30f ? (float)limit / most : 0;
    for (i = 0; i < count; i++) {
        const float shifted = x[i] * times + magic;
        int32_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        y[i] = (int16_t)(bits - 0x4b400000);
    }
    return most / (float)limit;
}

INLINE void NAME(whole_tile)(
    const int16_t *x, int64_t x_stride, const float *x_scales, const int8_t *panel,
    int64_t panel_stride, const float *scales, int64_t scales_stride, float *y, int64_t y_stride,
    int64_t fours, const int rows, const int panels
) {
    ints sum[ROWS][4 * VECTORS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (int v = 0; v < panels * VECTORS; v++) sum[r][v] = (ints){0};
    for (int64_t k = 0; k < fours; k++) {
        PAIRS first[4 * VECTORS], last[4 * VECTORS];
#pragma GCC unroll 16
        for (int v = 0; v < panels * VECTORS; v++) {
            const PAIRS four = LOAD_PAIRS(panel + v / VECTORS * panel_stride + k * 4 * PANEL
                                          + v % VECTORS * 4 * WIDTH);
            first[v] = EVEN_BYTES(four), last[v] = ODD_BYTES(four);
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            int32_t pair[2];
            memcpy(pair, x + r * x_stride + 4 * k, sizeof pair);
            const PAIRS one = ALL_PAIRS(pair[0]), other = ALL_PAIRS(pair[1]);
#pragma GCC unroll 16
            for (int v = 0; v < panels * VECTORS; v++)
                sum[r][v] = (ints)ADD_PAIRS(sum[r][v], one, first[v]);
#pragma GCC unroll 16
            for (int v = 0; v < panels * VECTORS; v++)
                sum[r][v] = (ints)ADD_PAIRS(sum[r][v], other, last[v]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (int v = 0; v < panels * VECTORS; v++)
            *(lanes *)(y + r * y_stride + v * WIDTH) = __builtin_convertvector(sum[r][v], lanes)
                * *(const lanes *)(scales + v / VECTORS * scales_stride + v % VECTORS * WIDTH)
                * x_scales[r];
}

INLINE void NAME(whole_rows)(
    const int16_t *x, int64_t x_stride, const float *x_scales, const int8_t *panel,
    const float *scales, float *y, int64_t y_stride, int64_t fours, int64_t rows
) {
#define CASE(N)                                                                               \
    case N:                                                                                   \
        NAME(whole_tile)(x, x_stride, x_scales, panel, 0, scales, 0, y, y_stride, fours,        \
                         N <= ROWS ? N : 1, 1);                                               \
        return;
    switch (rows) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
    }
#undef CASE
}

INLINE void NAME(whole_panels)(
    const float *x, int64_t x_stride, const Matrix *m, float *y, int64_t y_stride, int64_t rows,
    Scratch *s
) {
    const int64_t depth = deep(m->inputs), fours = depth / 4, limit = NAME(limit)(m->inputs);
    const int64_t stride = s->whole_stride, count = m->outputs / PANEL, size = depth * PANEL;
    for (int64_t row = 0; row < rows; row++) {
        int16_t *whole = s->whole + row * stride;
        s->scales[row] = NAME(whole)(x + row * x_stride, m->inputs, limit, whole);
        memset(whole + m->inputs, 0, (depth - m->inputs) * sizeof *whole);
    }
#ifdef TILES
    if (rows >= LEAST_TILED) {
        multiply_tiles(m, y, y_stride, rows, s);
        return;
    }
#endif
    const int8_t *panel = m->panels;
    const int64_t groups = (rows + ROWS - 1) / ROWS;
    int64_t p = 0;
    for (; rows == 1 && p + 4 <= count; p += 4)
        NAME(whole_tile)(s->whole, stride, s->scales, panel + p * size, size,
                         m->scales + p * PANEL, PANEL, y + p * PANEL, y_stride, fours, 1, 4);
    for (; rows == 2 && p + 2 <= count; p += 2)
        NAME(whole_tile)(s->whole, stride, s->scales, panel + p * size, size,
                         m->scales + p * PANEL, PANEL, y + p * PANEL, y_stride, fours, 2, 2);
    for (; p < count; p++)
        for (int64_t g = 0; g < groups; g++) {
            const int64_t first = rows * g / groups, end = rows * (g + 1) / groups;
            NAME(whole_rows)(s->whole + first * stride, stride, s->scales + first,
                             panel + p * size, m->scales + p * PANEL,
                             y + first * y_stride + p * PANEL, y_stride, fours, end - first);
        }
}

/* y (rows, outputs) = x (rows, inputs) times a matrix. */
TARGET static void NAME(multiply)(
    const float *x, int64_t x_stride, const Matrix *m, float *y, int64_t y_stride, int64_t rows,
    Scratch *s
) {
    if (m->kind == BYTES)
        NAME(whole_panels)(x, x_stride, m, y, y_stride, rows, s);
    else if (m->kind == HALF)
        NAME(panels)(x, x_stride, m, 1, y, y_stride, rows);
    else
        NAME(panels)(x, x_stride, m, 0, y, y_stride, rows);
}

/* ---------------------------------------------------------------- attention */

/* A sequence's memory of a layer: blocks of 16 tokens, each of keys (heads, size, 16) and then
 * values (16, heads, size); token t of the sequence lies in place t % context. */

/* Scores of `blocks` blocks of keys for one head's query. */
INLINE void NAME(score)(
    const float *query, const float *keys, int64_t stride, int64_t size, float *scores,
    const int blocks
) {
    lanes sum[4 * VECTORS];
#pragma GCC unroll 16
    for (int v = 0; v < blocks * VECTORS; v++) sum[v] = (lanes){0};
    for (int64_t d = 0; d < size; d++) {
        lanes q = NAME(all)(query[d]);
#pragma GCC unroll 16
        for (int v = 0; v < blocks * VECTORS; v++)
            sum[v] += q * *(const lanes *)(keys + v / VECTORS * stride + d * PANEL
                                           + v % VECTORS * WIDTH);
    }
#pragma GCC unroll 16
    for (int v = 0; v < blocks * VECTORS; v++) *(lanes *)(scores + v * WIDTH) = sum[v];
}

/* In place: e to the power of each score less the highest; their sum is returned. */
INLINE float NAME(soften)(float *scores, int64_t count) {
    int64_t padded = (count + PANEL - 1) / PANEL * PANEL;
    for (int64_t t = count; t < padded; t++) scores[t] = scores[0];
    lanes most = *(const lanes *)scores;
    for (int64_t t = WIDTH; t < padded; t += WIDTH) {
        lanes s = *(const lanes *)(scores + t);
        most = NAME(select)(s > most, s, most);
    }
    float highest = most[0];
    for (int i = 1; i < WIDTH; i++) highest = most[i] > highest ? most[i] : highest;
    for (int64_t t = 0; t < padded; t += WIDTH)
        *(lanes *)(scores + t) = NAME(exp)(*(const lanes *)(scores + t) - highest);
    for (int64_t t = count; t < padded; t++) scores[t] = 0;
    lanes sum[VECTORS];
    for (int v = 0; v < VECTORS; v++) sum[v] = (lanes){0};
    for (int64_t t = 0; t < padded; t += PANEL)
        for (int v = 0; v < VECTORS; v++) sum[v] += *(const lanes *)(scores + t + v * WIDTH);
    float lane[PANEL];
    for (int v = 0; v < VECTORS; v++) *(lanes *)(lane + v * WIDTH) = sum[v];
    return NAME(total)(lane);
}

/* `vectors` registers of the sum of all values, each times its weight, over `sum`. */
INLINE void NAME(gather)(
    const float *weights, float sum, const float *values, int64_t stride, int64_t token_stride,
    int64_t count, float *y, const int vectors
) {
    lanes out[16];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++) out[v] = (lanes){0};
    for (int64_t first = 0; first < count; first += PANEL, values += stride) {
        int64_t tokens = count - first < PANEL ? count - first : PANEL;
        for (int64_t t = 0; t < tokens; t++) {
            lanes weight = NAME(all)(weights[first + t]);
#pragma GCC unroll 16
            for (int v = 0; v < vectors; v++)
                out[v] += weight * *(const lanes *)(values + t * token_stride + v * WIDTH);
        }
    }
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++) *(lanes *)(y + v * WIDTH) = out[v] / sum;
}

/* y (heads, size): what one token attends to among the `count` that are remembered. */
TARGET static void NAME(attend)(
    const Network *net, const float *query, const float *memory, int64_t count, float *scores,
    float *y
) {
    const int64_t size = net->width / net->heads, stride = 2 * PANEL * net->width;
    const int64_t blocks = (count + PANEL - 1) / PANEL;
    for (int64_t h = 0; h < net->heads; h++) {
        const float *keys = memory + h * size * PANEL;
        int64_t b = 0;
        for (; b + 4 <= blocks; b += 4)
            NAME(score)(query + h * size, keys + b * stride, stride, size, scores + b * PANEL, 4);
        for (; b < blocks; b++)
            NAME(score)(query + h * size, keys + b * stride, stride, size, scores + b * PANEL, 1);
        float sum = NAME(soften)(scores, count);
        const float *values = memory + PANEL * net->width + h * size;
        int64_t d = 0;
        for (; d + 8 * WIDTH <= size; d += 8 * WIDTH)
            NAME(gather)(scores, sum, values + d, stride, net->width, count, y + h * size + d, 8);
        for (; d + WIDTH <= size; d += WIDTH)
            NAME(gather)(scores, sum, values + d, stride, net->width, count, y + h * size + d, 1);
        for (; d < size; d++) { /* one channel at a time, summed in the same order */
            float out = 0;
            for (int64_t t = 0; t < count; t++)
                out += scores[t] * values[t / PANEL * stride + t % PANEL * net->width + d];
            y[h * size + d] = out / sum;
        }
    }
}

INLINE void NAME(remember)(
    const Network *net, float *block, int64_t token, const float *key, const float *value
) {
    for (int64_t i = 0; i < net->width; i++) block[i * PANEL + token] = key[i];
    memcpy(block + (PANEL + token) * net->width, value, net->width * sizeof(float));
}

INLINE void NAME(turn)(float *x, const float *cosine, const float *sine, int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half];
        x[i] = a * cosine[i] - b * sine[i];
        x[i + half] = a * sine[i] + b * cosine[i];
    }
}

/* The memory in bytes, one head after the other, so that each lies in one piece: keys
 * (context / 16, fours, 16, 4) and what 1 of each is worth (context,), then values
 * (context / 4, size, 4) and what 1 of each is worth. Fours are ordered as in a matrix. */
typedef struct {
    int8_t *keys, *values;
    float *key_scales, *value_scales;
} NAME(Head);

INLINE NAME(Head) NAME(head)(const Network *net, int8_t *memory, int64_t context, int64_t h) {
    const int64_t size = net->width / net->heads, keys = context * fourfold(size);
    int8_t *at = memory + h * (keys + context * (size + 2 * (int64_t)sizeof(float)));
    int8_t *values = at + keys + context * sizeof(float);
    return (NAME(Head)){at, values, (float *)(at + keys), (float *)(values + context * size)};
}

INLINE void NAME(remember_bytes)(
    const Network *net, int8_t *memory, int64_t context, int64_t place, const float *key,
    const float *value, int16_t *whole
) {
    const int64_t size = net->width / net->heads;
    for (int64_t h = 0; h < net->heads; h++) {
        const NAME(Head) head = NAME(head)(net, memory, context, h);
        int8_t *at = head.keys + place / PANEL * PANEL * fourfold(size) + 4 * (place % PANEL);
        head.key_scales[place] = NAME(whole)(key + h * size, size, 127, whole);
        for (int64_t i = 0; i < size; i++)
            at[i / 4 * 4 * PANEL + exchanged(i % 4)] = (int8_t)whole[i];
        at = head.values + place / 4 * 4 * size + exchanged(place % 4);
        head.value_scales[place] = NAME(whole)(value + h * size, size, 127, whole);
        for (int64_t i = 0; i < size; i++) at[4 * i] = (int8_t)whole[i];
    }
}

/* `vectors` registers of the sum of all values, each times its weight. */
INLINE void NAME(gather_bytes)(
    const int16_t *weights, float scale, const int8_t *values, int64_t size, int64_t count,
    float *y, const int vectors
) {
    ints out[4];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++) out[v] = (ints){0};
    for (int64_t t = 0; t < count; t += 4, values += 4 * size) {
        int32_t pair[2];
        memcpy(pair, weights + t, sizeof pair);
        const PAIRS one = ALL_PAIRS(pair[0]), other = ALL_PAIRS(pair[1]);
#pragma GCC unroll 16
        for (int v = 0; v < vectors; v++) {
            const PAIRS four = LOAD_PAIRS(values + v * 4 * WIDTH);
            out[v] = (ints)ADD_PAIRS(out[v], one, EVEN_BYTES(four));
            out[v] = (ints)ADD_PAIRS(out[v], other, ODD_BYTES(four));
        }
    }
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++)
        *(lanes *)(y + v * WIDTH) = __builtin_convertvector(out[v], lanes) * scale;
}

TARGET static void NAME(attend_bytes)(
    const Network *net, const float *query, int8_t *memory, int64_t context, int64_t count,
    Scratch *s, float *y
) {
    const int64_t size = net->width / net->heads, stride = PANEL * fourfold(size);
    const int64_t blocks = (count + PANEL - 1) / PANEL;
    for (int64_t h = 0; h < net->heads; h++) {
        const NAME(Head) head = NAME(head)(net, memory, context, h);
        const float worth = NAME(whole)(query + h * size, size, NAME(limit)(size), s->whole);
        memset(s->whole + size, 0, (fourfold(size) - size) * sizeof *s->whole);
        int64_t b = 0;
        for (; b + 4 <= blocks; b += 4)
            NAME(whole_tile)(s->whole, 0, &worth, head.keys + b * stride, stride,
                             head.key_scales + b * PANEL, PANEL, s->scores + b * PANEL, 0,
                             fourfold(size) / 4, 1, 4);
        for (; b < blocks; b++)
            NAME(whole_tile)(s->whole, 0, &worth, head.keys + b * stride, stride,
                             head.key_scales + b * PANEL, PANEL, s->scores + b * PANEL, 0,
                             fourfold(size) / 4, 1, 1);
        const float sum = NAME(soften)(s->scores, count);
        for (int64_t t = 0; t < blocks * PANEL; t++) s->scores[t] *= head.value_scales[t];
        const float scale = NAME(whole)(s->scores, blocks * PANEL, NAME(limit)(blocks * PANEL),
                                        s->weights) / sum;
        int64_t d = 0;
        for (; d + 4 * WIDTH <= size; d += 4 * WIDTH)
            NAME(gather_bytes)(s->weights, scale, head.values + 4 * d, size, count,
                               y + h * size + d, 4);
        for (; d < size; d += WIDTH) /* beyond the size: what the next head overwrites */
            NAME(gather_bytes)(s->weights, scale, head.values + 4 * d, size, count,
                               y + h * size + d, 1);
    }
}

/* Queries, scaled, and keys are turned (RoFormer, arXiv:2104.09864). */
INLINE void NAME(turn_all)(const Network *net, float *query, float *key, const float *turns) {
    const int64_t size = net->width / net->heads, half = size / 2;
    const float scale = 1.0f / sqrtf((float)size);
    for (int64_t h = 0; h < net->heads; h++) {
        const float *cosine = turns + (h < net->heads - net->time_heads ? 0 : 2 * half);
        NAME(turn)(query + h * size, cosine, cosine + half, half);
        NAME(turn)(key + h * size, cosine, cosine + half, half);
    }
    for (int64_t i = 0; i < net->width; i++) query[i] *= scale;
}

/* Each token is remembered and attends, one after the other, so that tokens of one sequence may
 * follow one another. */
TARGET static void NAME(attention)(
    const Network *net, const Rows *rows, int64_t layer, Scratch *s
) {
    const int64_t half = net->width / net->heads / 2;
    for (int64_t row = 0; row < rows->count; row++) {
        const Sequence *sequence = rows->sequences + rows->which[row];
        const int64_t position = s->position[row], context = sequence->context;
        const int64_t place = position % context;
        const int64_t count = position + 1 < context ? position + 1 : context;
        char *memory = (char *)sequence->memory + layer * bytes_of_layer(net, context);
        float *query = s->qkv + row * s->qkv_stride, *key = query + net->width;
        float *y = s->y + row * s->stride;
        NAME(turn_all)(net, query, key, s->turns + row * 4 * half);
        if (net->bytes) {
            int8_t *bytes = (int8_t *)memory;
            NAME(remember_bytes)(net, bytes, padded(context), place, key, key + net->width,
                                 s->weights);
            NAME(attend_bytes)(net, query, bytes, padded(context), count, s, y);
        } else {
            float *block = (float *)memory + place / PANEL * 2 * PANEL * net->width;
            NAME(remember)(net, block, place % PANEL, key, key + net->width);
            NAME(attend)(net, query, (float *)memory, count, s->scores, y);
        }
    }
}

/* ---------------------------------------------------------------- the network */

TARGET static void NAME(add)(float *x, const float *y, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] += y[i];
}

TARGET static void NAME(embed)(const Network *net, const Rows *rows, Scratch *s) {
    for (int64_t row = 0; row < rows->count; row++) {
        float *x = s->x + row * s->stride;
        const int32_t *input = rows->inputs + row * (net->columns + net->skipped + 1);
        memset(x, 0, s->stride * sizeof(float));
        for (int64_t c = 0; c < net->columns; c++) {
            if (c + 4 < net->columns) { /* the rows lie far apart: no processor guesses the next */
                const float *next = net->embedding + (int64_t)input[c + 4] * net->width;
                for (int64_t i = 0; i < net->width; i += PANEL) __builtin_prefetch(next + i);
            }
            NAME(add)(x, net->embedding + (int64_t)input[c] * net->width, net->width);
        }
    }
}

TARGET static void NAME(step)(const Network *net, const Rows *rows, Scratch *s) {
    const int64_t n = rows->count;
    NAME(embed)(net, rows, s);
    for (int64_t index = 0; index < net->layers; index++) {
        const Layer *layer = net->layer + index;
        NAME(normalise)(s->x, layer->attention_norm, s->y, n, net->width, s->stride);
        NAME(multiply)(s->y, s->stride, &layer->qkv, s->qkv, s->qkv_stride, n, s);
        NAME(attention)(net, rows, index, s);
        NAME(multiply)(s->y, s->stride, &layer->out, s->z, s->stride, n, s);
        NAME(add)(s->x, s->z, n * s->stride);
        NAME(normalise)(s->x, layer->feed_forward_norm, s->y, n, net->width, s->stride);
        NAME(multiply)(s->y, s->stride, &layer->gate_up, s->hidden, s->hidden_stride, n, s);
        NAME(swiglu)(s->hidden, s->hidden_stride, s->active, s->active_stride, n, net->hidden);
        NAME(multiply)(s->active, s->active_stride, &layer->down, s->z, s->stride, n, s);
        NAME(add)(s->x, s->z, n * s->stride);
    }
    NAME(normalise)(s->x, net->norm, s->y, n, net->width, s->stride);
    NAME(multiply)(s->y, s->stride, &net->head, s->said, s->said_stride, n, s);
}

#undef lanes
#undef ints
#undef VECTORS

#undef TARGET
#undef WIDTH
#undef ROWS
#undef NAME
#undef LOAD_HALF
#undef PAIRS
#undef LOAD_PAIRS
#undef EVEN_BYTES
#undef ODD_BYTES
#undef ALL_PAIRS
#undef ADD_PAIRS
