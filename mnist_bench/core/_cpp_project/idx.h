// MNIST's files: IDX, as the page of the dataset describes it. Big-endian sizes, then one byte a pixel or a label.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

// Reads images of 28 × 28 pixels; returns them as the network wants them, float32 in [0, 1], 784 numbers an image.
// Throws std::runtime_error where the file is anything else, longer or shorter than it says.
std::vector<float> read_images(const std::string &path);

// Reads labels, 0 to 9; throws as above.
std::vector<std::uint8_t> read_labels(const std::string &path);
