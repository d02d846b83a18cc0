/* The network for registers of 512 bits: what its versions, for AVX-512 and beyond, have in common. */
#define WIDTH 16
#define ROWS 12
#define LOAD_HALF(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p)))
#define PAIRS __m512i
#define LOAD_PAIRS(p) _mm512_loadu_si512(p)
#define EVEN_BYTES(four) _mm512_srai_epi16(_mm512_slli_epi16(four, 8), 8)
#define ODD_BYTES(four) _mm512_srai_epi16(four, 8)
#define ALL_PAIRS(pair) _mm512_set1_epi32(pair)
#include "_network_kernels.h"
