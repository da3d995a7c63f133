// Training steps of the network 784-512-256-10 on images most of whose pixels are dark (zero).
//
// A product with zero adds nothing to a sum. So layer 1 reads lit pixels alone: forwards IMAGES images at a time, over
// the union of their lit pixels; for the weight's gradient BLOCK pixels at a time, over the union of the images that
// light them. Only the order of summation differs. All other products are dense.
//
// Units are held in panels: PANEL units of every image, or of every input, lie together, and a task computes a panel in
// registers from start to end, Adam included. No sum depends on another task's share: the results are the same to the
// bit, however many threads there are.

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
enum { LANES = 16, VECTORS = 2, ROWS = 8 };
#elif defined(__AVX2__)
enum { LANES = 8, VECTORS = 4, ROWS = 2 };
#else
enum { LANES = 4, VECTORS = 4, ROWS = 4 };
#endif
enum { PIXELS = 784, HIDDEN_1 = 512, HIDDEN_2 = 256, CLASSES = 10 };
enum { PANEL = LANES * VECTORS, PANELS_1 = HIDDEN_1 / PANEL, PANELS_2 = HIDDEN_2 / PANEL };
enum { IMAGES = 4, TOGETHER = 8, BLOCK = 4, BLOCKS = PIXELS / BLOCK, MOST_THREADS = 256 };
enum { LIT_WORDS = (PIXELS + 63) / 64, BLOCK_WORDS = (BLOCKS + 63) / 64 };
_Static_assert(TOGETHER % ROWS + TOGETHER % IMAGES + PANEL % ROWS + HIDDEN_2 % PANEL + PIXELS % BLOCK == 0, "");

#define INLINE __attribute__((always_inline)) static inline
typedef float Vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t Bits __attribute__((vector_size(LANES * 4)));
typedef union {
    Vector all;
    float lanes[LANES];
} Lanes;
typedef union {
    float number;
    uint32_t bits;
} Binary32;

// A tensor that is trained, and what Adam keeps of it, in the same layout.
typedef struct { float *value, *average, *square; } Parameter;

// What lasts for a training. Layouts are those of PyTorch, except: weight 1 (PANELS_1, PIXELS, PANEL), the pixels as in
// `images`, neighbours in a block; weight 2 (PANELS_2, HIDDEN_1, PANEL); bias 3 (PANEL,), of which CLASSES count.
typedef struct {
    Parameter weight_1, bias_1, weight_2, bias_2, weight_3, bias_3;
    const uint8_t *images;           // (n, PIXELS)
    const uint64_t *lit;             // (n, LIT_WORDS): a bit for each pixel that is lit
    const uint64_t *lit_blocks;      // (n, BLOCK_WORDS): a bit for each block with a lit pixel
    const float *brightness;         // (256,): what a byte is as an input
    float *transposed_2;             // (PANELS_1, HIDDEN_2, PANEL): weight 2
    float *hidden_1, *hidden_2;      // (PANELS, padded, PANEL): the layers' outputs, masked
    float *gradient_1;               // (threads, padded, PANEL): of the loss, by a panel of layer 1's sums
    float *gradient_2, *gradient_3;  // (PANELS_2, padded, PANEL), by layer 2's sums, and (padded, PANEL), by the logits
    int32_t *lit_counts, *lit_pixels;  // (padded / IMAGES,), (padded / IMAGES, PIXELS): see list_pixels
    float *pixel_values;               // (padded / IMAGES, PIXELS, IMAGES)
    int32_t *listed, *lit_images;      // (BLOCKS,), (BLOCKS, padded): see list_images
    float *image_values;               // (BLOCKS, padded, BLOCK)
    int64_t padded, threads;           // padded: images of the largest batch, rounded up to a multiple of TOGETHER
    int32_t sigmoid, largest_kept;     // a unit is kept where its word is at most `largest_kept`
    float kept_scale, learning_rate;
} Training;

// What one call does: batches of `size` images, the last of them shorter. The images of a batch may be in any order.
typedef struct {
    const int64_t *indices, *labels;  // (images,)
    const int64_t *mask_rows;         // (images,): where the masks of each are in `words`
    const int16_t *words;             // (images, HIDDEN_1): what the masks are made of
    float *logits;                    // (images, CLASSES): written
    int64_t images, size, steps_before;
} Work;

static const double BETA_1 = 0.9, BETA_2 = 0.999;
static const float EPSILON = 1e-8f, SETTLED = 1e-30f;  // SETTLED: see the engine's module

// Adam's factors for one step, with the bias corrections folded in (Kingma and Ba 2015, Algorithm 1).
typedef struct { float rate, square_scale; } Adam;

// All threads claim the tasks of a phase one by one, and meet before the next phase.
typedef struct {
    const Training *training;
    const Work *work;
    atomic_int size, joined, arrived;
    _Alignas(64) atomic_int claimed;
    _Alignas(64) atomic_uint phase;
} Team;

static void wait_for(atomic_uint *phase, unsigned passed) {
    enum { PATIENCE = 2000 };  // some microseconds: then another program may need the core more than we do
    for (int turns = 0; atomic_load(phase) == passed; turns += turns < PATIENCE) {
        if (turns == PATIENCE) sched_yield();
#ifdef __x86_64__
        else __builtin_ia32_pause();
#endif
    }
}

// Return the next task of a phase; -1 once all of them are done.
static int64_t claim(Team *team, int64_t tasks) {
    int64_t task = atomic_fetch_add(&team->claimed, 1);
    if (task < tasks) return task;
    unsigned phase = atomic_load(&team->phase);
    if (atomic_fetch_add(&team->arrived, 1) + 1 < atomic_load(&team->size)) wait_for(&team->phase, phase);
    else {
        atomic_store(&team->arrived, 0);
        atomic_store(&team->claimed, 0);
        atomic_store(&team->phase, phase + 1);
    }
    return -1;
}

INLINE Vector load(const float *place) { return *(const Vector *)place; }
INLINE void store(float *place, Vector value) { *(Vector *)place = value; }

// What a panel holds of one image, or of one input.
typedef struct { Vector part[VECTORS]; } Units;

INLINE Units at(const float *place) {
    Units found;
    for (int v = 0; v < VECTORS; v++) found.part[v] = load(place + v * LANES);
    return found;
}

INLINE Units plus(Units sum, Units units, float times) {
    for (int v = 0; v < VECTORS; v++) sum.part[v] += units.part[v] * times;
    return sum;
}

// e to the x, within 2 units of the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes, expf.c).
INLINE float exponential(float x) {
    const float shift = 12582912.0f;                  // 1.5 · 2^23: added, it leaves an integer in the low bits
    x = x > 88.0f ? 88.0f : x < -87.0f ? -87.0f : x;  // NaN stays NaN
    Binary32 power = {x * 1.44269504f + shift};
    float n = power.number - shift;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = ((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f;
    p = ((p * r + 1.6666665459e-1f) * r + 5.0000001201e-1f) * r * r + r + 1.0f;
    power.bits = (power.bits + 127) << 23;
    return p * power.number;
}

INLINE float activated(float x, bool sigmoid) { return sigmoid ? 1 / (1 + exponential(-x)) : x < 0 ? 0 : x; }

// Return the slope of an activation times its mask, known from their output: zero for what the mask dropped.
INLINE float slope(float output, float scale, bool sigmoid) {
    return sigmoid ? output * (1 - output / scale) : output > 0 ? scale : 0;
}

// Take a step of Adam on LANES numbers; an average below SETTLED becomes zero, NaN stays NaN.
INLINE void adam(Parameter of, size_t place, Vector gradient, Adam with) {
    Vector average = load(of.average + place) * (float)BETA_1 + gradient * (float)(1 - BETA_1);
    Vector square = load(of.square + place) * (float)BETA_2 + gradient * gradient * (float)(1 - BETA_2);
    average = (Vector)((Bits)average & ((average > SETTLED) | (average < -SETTLED) | (average != average)));
    store(of.average + place, average);
    store(of.square + place, square);
    Lanes root = {square};
    for (int lane = 0; lane < LANES; lane++) root.lanes[lane] = sqrtf(root.lanes[lane]);  // becomes one instruction
    store(of.value + place, load(of.value + place) - average * with.rate / (root.all * with.square_scale + EPSILON));
}

INLINE void train(Parameter of, size_t place, Units gradient, Adam with) {
    for (int v = 0; v < VECTORS; v++) adam(of, place + v * LANES, gradient.part[v], with);
}

// Add to sums (ROWS, PANEL) a product: left, with elements left[row * across + k * along], times right (count, PANEL).
INLINE void multiply(Units sums[ROWS], const float *left, size_t across, size_t along, int64_t count,
                     const float *right) {
    for (int64_t k = 0; k < count; k++) {
        Units units = at(right + k * PANEL);
        for (int row = 0; row < ROWS; row++) sums[row] = plus(sums[row], units, left[row * across + k * along]);
    }
}

// List the pixels that any of IMAGES images lights, and the brightness in each; images from `count` on are dark.
static void list_pixels(const Training *t, const int64_t *indices, int64_t group, int64_t count) {
    static const uint8_t dark[PIXELS];
    const uint8_t *image[IMAGES];
    uint64_t lit[LIT_WORDS] = {0};
    for (int i = 0; i < IMAGES; i++) {
        int64_t place = group * IMAGES + i;
        image[i] = place < count ? t->images + indices[place] * PIXELS : dark;
        for (int word = 0; word < LIT_WORDS && place < count; word++)
            lit[word] |= t->lit[indices[place] * LIT_WORDS + word];
    }
    int32_t *pixels = t->lit_pixels + group * PIXELS, n = 0;
    float *values = t->pixel_values + group * PIXELS * IMAGES;
    for (int word = 0; word < LIT_WORDS; word++)
        for (uint64_t left = lit[word]; left; left &= left - 1) {
            int pixel = word * 64 + __builtin_ctzll(left);
            for (int i = 0; i < IMAGES; i++) values[n * IMAGES + i] = t->brightness[image[i][pixel]];
            pixels[n++] = pixel;
        }
    t->lit_counts[group] = n;
}

// List the images that light any pixel of a block, and the brightness of its pixels: for the blocks of one word.
static void list_images(const Training *t, const int64_t *indices, int word, int64_t count) {
    memset(t->listed + word * 64, 0, sizeof(int32_t) * (word < BLOCKS / 64 ? 64 : BLOCKS % 64));
    for (int32_t i = 0; i < count; i++)
        for (uint64_t left = t->lit_blocks[indices[i] * BLOCK_WORDS + word]; left; left &= left - 1) {
            int64_t block = word * 64 + __builtin_ctzll(left), place = block * t->padded + t->listed[block]++;
            const uint8_t *pixels = t->images + indices[i] * PIXELS + block * BLOCK;
            for (int b = 0; b < BLOCK; b++) t->image_values[place * BLOCK + b] = t->brightness[pixels[b]];
            t->lit_images[place] = i;
        }
}

// Transpose weight 2 for the backward pass: one panel of layer 1.
static void transpose_2(const Training *t, int panel) {
    float *to = t->transposed_2 + (size_t)panel * HIDDEN_2 * PANEL;
    for (int from = 0; from < PANELS_2; from++)
        for (int unit = 0; unit < PANEL; unit++) {
            const float *weight = t->weight_2.value + ((size_t)from * HIDDEN_1 + panel * PANEL) * PANEL + unit;
            for (int input = 0; input < PANEL; input++)
                to[(from * PANEL + unit) * PANEL + input] = weight[input * PANEL];
        }
}

// Layer 1 with its activation and mask: one panel of units.
INLINE void forward_1(const Training *t, const Work *w, int64_t first, int panel, int64_t count, bool sigmoid) {
    const float scale = t->kept_scale, *weight = t->weight_1.value + (size_t)panel * PIXELS * PANEL;
    const int32_t largest_kept = t->largest_kept;  // read once: a compiler cannot know that nothing below changes it
    for (int64_t group = 0; group * IMAGES < count; group++) {
        const float *values = t->pixel_values + group * PIXELS * IMAGES;
        Units sums[IMAGES];
        for (int i = 0; i < IMAGES; i++) sums[i] = at(t->bias_1.value + panel * PANEL);
        for (int n = 0; n < t->lit_counts[group]; n++) {
            Units units = at(weight + t->lit_pixels[group * PIXELS + n] * PANEL);
            for (int i = 0; i < IMAGES; i++) sums[i] = plus(sums[i], units, values[n * IMAGES + i]);
        }
        memcpy(t->hidden_1 + (panel * t->padded + group * IMAGES) * PANEL, sums, sizeof sums);
    }
    for (int64_t image = 0; image < count; image++) {
        float *hidden = t->hidden_1 + (panel * t->padded + image) * PANEL;
        const int16_t *word = w->words + w->mask_rows[first + image] * HIDDEN_1 + panel * PANEL;
        for (int unit = 0; unit < PANEL; unit++)
            hidden[unit] = activated(hidden[unit], sigmoid) * (word[unit] <= largest_kept ? scale : 0);
    }
}

// Layer 2 with its activation: one panel of units, ROWS images.
INLINE void forward_2(const Training *t, int panel, int64_t image, bool sigmoid) {
    Units sums[ROWS];
    for (int row = 0; row < ROWS; row++) sums[row] = at(t->bias_2.value + panel * PANEL);
    for (int from = 0; from < PANELS_1; from++)
        multiply(sums, t->hidden_1 + (from * t->padded + image) * PANEL, PANEL, 1, PANEL,
                 t->weight_2.value + ((size_t)panel * HIDDEN_1 + from * PANEL) * PANEL);
    float *hidden = t->hidden_2 + (panel * t->padded + image) * PANEL;
    memcpy(hidden, sums, sizeof sums);
    for (int unit = 0; unit < ROWS * PANEL; unit++) hidden[unit] = activated(hidden[unit], sigmoid);
}

static float logit(const Training *t, int64_t image, int class) {
    Vector sums = {0};
    for (int unit = 0; unit < HIDDEN_2; unit += LANES)
        sums += load(t->hidden_2 + (unit / PANEL * t->padded + image) * PANEL + unit % PANEL) *
                load(t->weight_3.value + class * HIDDEN_2 + unit);
    float sum = t->bias_3.value[class];
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    return sum;
}

// The logits, the gradient of the mean loss by them (softmax minus one-hot), and by layer 2's sums: one image.
INLINE void differentiate(const Training *t, const Work *w, int64_t first, int64_t image, int64_t count, bool sigmoid) {
    float *gradient = t->gradient_3 + image * PANEL, largest = -INFINITY, sum = 0;
    memset(gradient, 0, PANEL * sizeof(float));
    if (image < count) {
        float *logits = w->logits + (first + image) * CLASSES;
        for (int c = 0; c < CLASSES; c++) logits[c] = logit(t, image, c), largest = fmaxf(largest, logits[c]);
        for (int c = 0; c < CLASSES; c++) sum += gradient[c] = exponential(logits[c] - largest);
        for (int c = 0; c < CLASSES; c++) gradient[c] = (gradient[c] / sum - (c == w->labels[first + image])) / count;
    }
    for (int panel = 0; panel < PANELS_2; panel++) {
        size_t place = (panel * t->padded + image) * PANEL;
        Units sum_2 = {0};
        for (int c = 0; c < CLASSES; c++)
            sum_2 = plus(sum_2, at(t->weight_3.value + c * HIDDEN_2 + panel * PANEL), gradient[c]);
        memcpy(t->gradient_2 + place, &sum_2, sizeof sum_2);
        for (int unit = 0; unit < PANEL; unit++)
            t->gradient_2[place + unit] *= slope(t->hidden_2[place + unit], 1, sigmoid);
    }
}

// Train a panel of biases, whose gradient (images, PANEL) is summed over the images.
static void train_bias(Parameter bias, int panel, const float *gradient, int64_t images, Adam with) {
    Units sum = {0};
    for (int64_t image = 0; image < images; image++) sum = plus(sum, at(gradient + image * PANEL), 1);
    train(bias, panel * PANEL, sum, with);
}

// Train a panel of layer 1: the gradient by its sums first, then, block by block, that by its weight.
INLINE void train_1(const Training *t, float *gradient, int panel, int64_t images, bool sigmoid, Adam with) {
    const float scale = t->kept_scale;
    for (int64_t image = 0; image < images; image += ROWS) {
        Units sums[ROWS] = {0};
        for (int from = 0; from < PANELS_2; from++)
            multiply(sums, t->gradient_2 + (from * t->padded + image) * PANEL, PANEL, 1, PANEL,
                     t->transposed_2 + ((size_t)panel * HIDDEN_2 + from * PANEL) * PANEL);
        const float *hidden = t->hidden_1 + (panel * t->padded + image) * PANEL;
        float *to = gradient + image * PANEL;
        memcpy(to, sums, sizeof sums);
        for (int unit = 0; unit < ROWS * PANEL; unit++) to[unit] *= slope(hidden[unit], scale, sigmoid);
    }
    for (int block = 0; block < BLOCKS; block++) {
        const int32_t *lit = t->lit_images + block * t->padded;
        const float *values = t->image_values + block * t->padded * BLOCK;
        Units sums[BLOCK] = {0};
        for (int n = 0; n < t->listed[block]; n++) {
            Units units = at(gradient + lit[n] * PANEL);
            for (int b = 0; b < BLOCK; b++) sums[b] = plus(sums[b], units, values[n * BLOCK + b]);
        }
#pragma GCC unroll 8
        for (int b = 0; b < BLOCK; b++)
            train(t->weight_1, ((size_t)panel * PIXELS + block * BLOCK + b) * PANEL, sums[b], with);
    }
    train_bias(t->bias_1, panel, gradient, images, with);
}

// Train a panel of layer 2.
static void train_2(const Training *t, int panel, int64_t images, Adam with) {
    const float *gradient = t->gradient_2 + panel * t->padded * PANEL;
    for (int input = 0; input < HIDDEN_1; input += ROWS) {
        Units sums[ROWS] = {0};
        multiply(sums, t->hidden_1 + input / PANEL * t->padded * PANEL + input % PANEL, 1, PANEL, images, gradient);
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; row++)
            train(t->weight_2, ((size_t)panel * HIDDEN_1 + input + row) * PANEL, sums[row], with);
    }
    train_bias(t->bias_2, panel, gradient, images, with);
}

// Train what layer 3 reads of a panel of layer 2; its bias with the first.
static void train_3(const Training *t, int panel, int64_t images, Adam with) {
    const float *hidden = t->hidden_2 + panel * t->padded * PANEL;
    for (int c = 0; c < CLASSES; c++) {
        Units sum = {0};
        for (int64_t image = 0; image < images; image++)
            sum = plus(sum, at(hidden + image * PANEL), t->gradient_3[image * PANEL + c]);
        train(t->weight_3, c * HIDDEN_2 + panel * PANEL, sum, with);
    }
    if (panel == 0) train_bias(t->bias_3, 0, t->gradient_3, images, with);
}

// One batch, in five phases; every thread calls this. The largest tasks of a phase come first.
INLINE void step(Team *team, int rank, int64_t first, int64_t count, Adam with, bool sigmoid) {
    const Training *t = team->training;
    const Work *w = team->work;
    int64_t images = (count + ROWS - 1) / ROWS * ROWS, slices = images / ROWS, groups = (count + IMAGES - 1) / IMAGES;
    for (int64_t task; (task = claim(team, BLOCK_WORDS + PANELS_1 + groups)) >= 0;) {
        if (task < BLOCK_WORDS) list_images(t, w->indices + first, task, count);
        else if (task < BLOCK_WORDS + PANELS_1) transpose_2(t, task - BLOCK_WORDS);
        else list_pixels(t, w->indices + first, task - BLOCK_WORDS - PANELS_1, count);
    }
    for (int64_t task; (task = claim(team, PANELS_1)) >= 0;) forward_1(t, w, first, task, count, sigmoid);
    for (int64_t task; (task = claim(team, PANELS_2 * slices)) >= 0;)
        forward_2(t, task / slices, task % slices * ROWS, sigmoid);
    for (int64_t task; (task = claim(team, slices)) >= 0;)
        for (int row = 0; row < ROWS; row++) differentiate(t, w, first, task * ROWS + row, count, sigmoid);
    for (int64_t task; (task = claim(team, PANELS_1 + 2 * PANELS_2)) >= 0;) {
        if (task < PANELS_1) train_1(t, t->gradient_1 + rank * t->padded * PANEL, task, images, sigmoid, with);
        else if (task < PANELS_1 + PANELS_2) train_2(t, task - PANELS_1, images, with);
        else train_3(t, task - PANELS_1 - PANELS_2, images, with);
    }
}

static void *steps(void *of) {
    Team *team = of;
    const Training *t = team->training;
    const Work *w = team->work;
    int rank = atomic_fetch_add(&team->joined, 1);
    wait_for(&team->phase, 0);  // until it is known how many threads there are
    double number = w->steps_before;
    for (int64_t first = 0; first < w->images; first += w->size) {
        int64_t count = w->images - first < w->size ? w->images - first : w->size;
        number++;
        Adam with = {t->learning_rate / (1 - pow(BETA_1, number)), 1 / sqrt(1 - pow(BETA_2, number))};
        if (t->sigmoid) step(team, rank, first, count, with, true);
        else step(team, rank, first, count, with, false);
    }
    return NULL;
}

// What this file and its caller must agree about.
const int64_t agreed[] = {PANEL, IMAGES, BLOCK, TOGETHER, MOST_THREADS, sizeof(Training), sizeof(Work)};

// Take the steps of some batches. Threads last as long as the call; if some cannot be started, the others do the work.
void take_steps(const Training *training, const Work *work) {
    pthread_t threads[MOST_THREADS];
    Team team = {.training = training, .work = work};
    int size = 1;
    while (size < training->threads && !pthread_create(&threads[size], NULL, steps, &team)) size++;
    atomic_store(&team.size, size);
    atomic_store(&team.phase, 1);
    steps(&team);
    for (int number = 1; number < size; number++) pthread_join(threads[number], NULL);
}
