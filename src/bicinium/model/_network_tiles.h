/* Products of bytes in tiles (AMX): 16 rows times 16 outputs at a time, 64 inputs deep.
 *
 * An input of 16 bits is 256 times its high byte, which has a sign, plus its low byte. Tiles
 * multiply bytes only, so each byte has its own sum. Sums may wrap: the total, which stays below
 * 2^31, is right. It is the same whole number as without tiles.
 */
#define LEAST_TILED 2 /* rows: fewer are faster without */
#define TILE 64       /* bytes in a row of a tile */

#define TILED __attribute__((target("avx512f,avx512vl,avx512bw,amx-tile,amx-int8")))

/* Whether the processor has tiles and the system lets this process use them. */
static int may_use_tiles(void) {
    unsigned a, b, c, d;
    const int request_permission = 0x1023, tile_data = 18;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) && (d >> 25 & 1)
           && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

/* The bytes of 64 inputs, the second and the third of each four exchanged, as the weights are. */
TILED static inline void split(const int16_t *x, int8_t *high, int8_t *low) {
    const __m512i exchange = _mm512_set4_epi32(0x0f0d0e0c, 0x0b090a08, 0x07050604, 0x03010200);
    for (int half = 0; half < 2; half++) {
        const __m512i input = _mm512_loadu_si512(x + 32 * half);
        const __m256i over = _mm512_cvtepi16_epi8(_mm512_srai_epi16(input, 8));
        const __m256i under = _mm512_cvtepi16_epi8(input);
        const __m256i order = _mm512_castsi512_si256(exchange);
        _mm256_storeu_si256((__m256i *)(high + 32 * half), _mm256_shuffle_epi8(over, order));
        _mm256_storeu_si256((__m256i *)(low + 32 * half), _mm256_shuffle_epi8(under, order));
    }
}

/* y = 16 rows times one panel, from the sums of high and low bytes. */
TILED static inline void finish(
    const int32_t *high, const int32_t *low, const float *scales, const float *x_scales, float *y,
    int64_t y_stride, int64_t rows
) {
    for (int64_t r = 0; r < rows; r++) {
        const __m512i sum = _mm512_add_epi32(
            _mm512_slli_epi32(_mm512_loadu_si512(high + r * PANEL), 8),
            _mm512_loadu_si512(low + r * PANEL)
        );
        const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(scales));
        _mm512_storeu_ps(y + r * y_stride, _mm512_mul_ps(scaled, _mm512_set1_ps(x_scales[r])));
    }
}

/* y (rows, outputs) = the rows of `s->whole` times a matrix. */
TILED static void multiply_tiles(
    const Matrix *m, float *y, int64_t y_stride, int64_t rows, Scratch *s
) {
    const int64_t depth = deep(m->inputs), stride = s->whole_stride, count = m->outputs / PANEL;
    const int8_t *panels = m->panels;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t k = 0; k < depth; k += TILE)
            split(s->whole + row * stride + k, s->high + row * stride + k,
                  s->low + row * stride + k);
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape;
    memset(&shape, 0, sizeof shape);
    shape.palette = 1;
    for (int tile = 0; tile < 8; tile++) shape.bytes[tile] = TILE, shape.rows[tile] = PANEL;
    _tile_loadconfig(&shape);
    int32_t sums[4][PANEL * PANEL];
    for (int64_t p = 0; p < count; p += 2) {
        const int8_t *panel = panels + p * depth * PANEL;
        const int8_t *next = panel + (p + 1 < count ? depth * PANEL : 0);
        for (int64_t first = 0; first < rows; first += PANEL) {
            const int8_t *high = s->high + first * stride, *low = s->low + first * stride;
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            for (int64_t k = 0; k < depth; k += TILE) {
                _tile_loadd(4, high + k, stride);
                _tile_loadd(5, low + k, stride);
                _tile_loadd(6, panel + k * PANEL, TILE);
                _tile_loadd(7, next + k * PANEL, TILE);
                _tile_dpbssd(0, 4, 6);
                _tile_dpbusd(1, 5, 6);
                _tile_dpbssd(2, 4, 7);
                _tile_dpbusd(3, 5, 7);
            }
            _tile_stored(0, sums[0], TILE);
            _tile_stored(1, sums[1], TILE);
            _tile_stored(2, sums[2], TILE);
            _tile_stored(3, sums[3], TILE);
            const int64_t some = rows - first < PANEL ? rows - first : PANEL;
            for (int64_t q = p; q < p + 2 && q < count; q++)
                finish(sums[2 * (q - p)], sums[2 * (q - p) + 1], m->scales + q * PANEL,
                       s->scales + first, y + first * y_stride + q * PANEL, y_stride, some);
        }
    }
    _tile_release();
}
