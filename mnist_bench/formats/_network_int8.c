/* $title
 *
 * Weights: $flash bytes, constant. Memory besides image and logits: 4,624 bytes of the stack.
 * C99, no other file, no allocation; cc -std=c99 -O3 -c model-int8.c, and -lm for lrintf.
 *
 * The numbers are those of the ONNX file with the same name. Real number = scale * (integer - zero). Sums of products are
 * exact in 32 bits; the nearest integer of a sum times a multiplier is what lrintf gives by default: of two, the even one.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { PIXELS = 784, HIDDEN_1 = 512, HIDDEN_2 = 256, CLASSES = 10 };

/* For each input the weights of all units, side by side: sums over inputs need no reordering to be vectorised. */
static const int8_t weight_1[PIXELS * HIDDEN_1] = {$weight_1};
static const int32_t bias_1[HIDDEN_1] = {$bias_1};
static const float multiplier_1[HIDDEN_1] = {$multiplier_1};
static const int8_t weight_2[HIDDEN_1 * HIDDEN_2] = {$weight_2};
static const int32_t bias_2[HIDDEN_2] = {$bias_2};
static const float multiplier_2[HIDDEN_2] = {$multiplier_2};
static const float weight_3[HIDDEN_2 * CLASSES] = {$weight_3};
static const float bias_3[CLASSES] = {$bias_3};

/* What the activation makes of each integer from -128 to 127 that a layer gives. */
static const int8_t activated_1[256] = {$activated_1};
static const int8_t activated_2[256] = {$activated_2};

void mnist_bench_logits(const float *images, size_t count, float *logits);

static int8_t quantised(float value, int32_t zero)
{
    const float least = -128.0f - (float)zero, most = 127.0f - (float)zero;
    /* What is no number becomes the least: lrintf could not tell it from an overflow. */
    return (int8_t)(lrintf(!(value > least) ? least : value > most ? most : value) + zero);
}

/* `zero` is that of the inputs, `zero_out` that of what the layer gives before its activation. */
static void dense(const int8_t *inputs, size_t count, int32_t zero, const int8_t *weight, const int32_t *bias,
                  const float *multiplier, int32_t zero_out, const int8_t *activated, size_t units, int32_t *sums,
                  int8_t *outputs)
{
    size_t input, unit;
    for (unit = 0; unit < units; unit++)
        sums[unit] = bias[unit];
    for (input = 0; input < count; input++) {
        const int32_t value = inputs[input] - zero;
        const int8_t *row = weight + input * units;
        if (value == 0) /* it adds nothing: most pixels are dark */
            continue;
        for (unit = 0; unit < units; unit++)
            sums[unit] += value * row[unit];
    }
    for (unit = 0; unit < units; unit++)
        outputs[unit] = activated[quantised((float)sums[unit] * multiplier[unit], zero_out) + 128];
}

/* Images are 784 pixels each, row by row, from 0 (black) to 1; an image gives ten logits, of which the largest is the
 * digit's. */
void mnist_bench_logits(const float *images, size_t count, float *logits)
{
    int32_t sums[HIDDEN_1];
    int8_t pixels[PIXELS], hidden_1[HIDDEN_1], hidden_2[HIDDEN_2];
    size_t input, unit;
    for (; count > 0; count--, images += PIXELS, logits += CLASSES) {
        for (input = 0; input < PIXELS; input++)
            pixels[input] = quantised(images[input] / ${scale_0}, ${zero_0});
        dense(pixels, PIXELS, ${zero_0}, weight_1, bias_1, multiplier_1, ${zero_1}, activated_1, HIDDEN_1, sums, hidden_1);
        dense(hidden_1, HIDDEN_1, ${zero_a1}, weight_2, bias_2, multiplier_2, ${zero_2}, activated_2, HIDDEN_2, sums, hidden_2);
        for (unit = 0; unit < CLASSES; unit++)
            logits[unit] = bias_3[unit];
        for (input = 0; input < HIDDEN_2; input++) {
            const float value = ${scale_a2} * (float)(hidden_2[input] - ${zero_a2});
            for (unit = 0; unit < CLASSES; unit++)
                logits[unit] += value * weight_3[input * CLASSES + unit];
        }
    }
}
