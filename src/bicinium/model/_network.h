/* The network's shapes, weights and memory, as the kernel and its callers see them.
 *
 * Mirrored by the ctypes structures in compiled_network.py.
 */
#ifndef BICINIUM_NETWORK_H
#define BICINIUM_NETWORK_H

#include <stdint.h>

#define PANEL 16 /* outputs that lie side by side in a packed matrix, tokens in a block of keys */

enum { SINGLE, HALF, BYTES };

/* A matrix (inputs, outputs) in panels of 16 outputs, the last one filled up with zeros. */
typedef struct {
    const void *panels; /* SINGLE, HALF: (outputs / 16, inputs, 16);
                           BYTES: (outputs / 16, inputs / 4, 16, 4), inputs filled up to a
                           multiple of 64, the second and third of four exchanged */
    const float *scales; /* BYTES: (outputs,) what 1 is worth */
    int64_t inputs;
    int64_t outputs; /* a multiple of 16 */
    int64_t kind;
} Matrix;

typedef struct {
    const float *attention_norm, *feed_forward_norm; /* (width,) */
    Matrix qkv, out, gate_up, down;
} Layer;

typedef struct {
    int64_t width, heads, layers, hidden;
    int64_t time_heads;  /* the last of the heads: they turn with the tick */
    int64_t columns;     /* of the inputs, those that are embedded */
    int64_t vocabulary;
    int64_t references;  /* pitches to measure from; 0 where there are no relative heads */
    int64_t skipped;     /* columns of the inputs between those embedded and the tick */
    int64_t distances;   /* outputs for each reference */
    int64_t first_note_on, first_note_off, pitches;
    int64_t bytes; /* whether keys and values are kept in bytes */
    const float *embedding; /* (rows, width) */
    const float *norm;      /* (width,) */
    const float *speeds;    /* (heads, width / heads / 2) radians a token, or a tick */
    Matrix head; /* the vocabulary, then distances for each reference, then the held note's end */
    const Layer *layer;
} Network;

/* One sequence: how many tokens it has had, and the keys and values of the last `context`, in
 * `bicinium_memory` bytes. */
typedef struct {
    void *memory;
    int64_t context, length;
} Sequence;

#endif
