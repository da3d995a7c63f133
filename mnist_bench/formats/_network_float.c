/* $title
 *
 * Weights: $flash bytes, constant. Memory besides image and logits: 3,072 bytes of the stack.
 * C99, no other file, no allocation; cc -std=c99 -O3 -c model.c, and -lm for expf where the activation is Sigmoid.
 */
#include <math.h>
#include <stddef.h>

enum { PIXELS = 784, HIDDEN_1 = 512, HIDDEN_2 = 256, CLASSES = 10 };

/* For each input the weights of all units, side by side: sums over inputs need no reordering to be vectorised. */
static const float weight_1[PIXELS * HIDDEN_1] = {$weight_1};
static const float bias_1[HIDDEN_1] = {$bias_1};
static const float weight_2[HIDDEN_1 * HIDDEN_2] = {$weight_2};
static const float bias_2[HIDDEN_2] = {$bias_2};
static const float weight_3[HIDDEN_2 * CLASSES] = {$weight_3};
static const float bias_3[CLASSES] = {$bias_3};

void mnist_bench_logits(const float *images, size_t count, float *logits);

static void dense(const float *inputs, size_t count, const float *weight, const float *bias, size_t units, float *sums)
{
    size_t input, unit;
    for (unit = 0; unit < units; unit++)
        sums[unit] = bias[unit];
    for (input = 0; input < count; input++) {
        const float value = inputs[input];
        const float *row = weight + input * units;
        if (value == 0.0f) /* it adds nothing: most pixels are dark */
            continue;
        for (unit = 0; unit < units; unit++)
            sums[unit] += value * row[unit];
    }
}

static void activate(float *values, size_t count)
{
    size_t unit;
    for (unit = 0; unit < count; unit++)
        values[unit] = $activation;
}

/* Images are 784 pixels each, row by row, from 0 (black) to 1; an image gives ten logits, of which the largest is the
 * digit's. */
void mnist_bench_logits(const float *images, size_t count, float *logits)
{
    float hidden_1[HIDDEN_1], hidden_2[HIDDEN_2];
    for (; count > 0; count--, images += PIXELS, logits += CLASSES) {
        dense(images, PIXELS, weight_1, bias_1, HIDDEN_1, hidden_1);
        activate(hidden_1, HIDDEN_1);
        dense(hidden_1, HIDDEN_1, weight_2, bias_2, HIDDEN_2, hidden_2);
        activate(hidden_2, HIDDEN_2);
        dense(hidden_2, HIDDEN_2, weight_3, bias_3, CLASSES, logits);
    }
}
