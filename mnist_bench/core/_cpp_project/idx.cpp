#include "idx.h"

#include <algorithm>
#include <stdexcept>

#include "engine.h"

namespace {

constexpr std::uint32_t IMAGES = 0x00000803, LABELS = 0x00000801;  // unsigned bytes, in 3 dimensions or in 1

// Reads the big-endian number at a place.
std::uint32_t number(const Bytes &content, std::size_t at) {
    return std::uint32_t{content[at]} << 24 | std::uint32_t{content[at + 1]} << 16 |
           std::uint32_t{content[at + 2]} << 8 | std::uint32_t{content[at + 3]};
}

// Returns a file's content behind its header, once its header and its length say what they should.
Bytes elements(const std::string &path, std::uint32_t magic, std::size_t dimensions, std::size_t element) {
    auto content = read_file(path);
    const std::size_t header = 4 + 4 * dimensions;
    const std::string kind = magic == IMAGES ? "images" : "labels";
    if (content.size() > 1 && content[0] == 0x1f && content[1] == 0x8b)
        throw std::runtime_error(path + " is compressed: gunzip it first");
    if (content.size() < header || number(content, 0) != magic)
        throw std::runtime_error(path + " holds no " + kind + " in IDX");
    if (magic == IMAGES && (number(content, 8) != 28 || number(content, 12) != 28))
        throw std::runtime_error(path + " holds images of another size than 28 x 28");
    const std::size_t count = number(content, 4);
    if (content.size() - header != count * element)  // 2³² times 784 fits into 64 bits
        throw std::runtime_error(path + " says that it holds " + std::to_string(count) + " " + kind + ", and has " +
                                 std::to_string(content.size() - header) + " bytes of them");
    if (count == 0) throw std::runtime_error(path + " is empty");
    content.erase(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(header));
    return content;
}

}  // namespace

std::vector<float> read_images(const std::string &path) {
    const auto pixels = elements(path, IMAGES, 3, PIXELS);
    std::vector<float> images(pixels.size());
    std::transform(pixels.begin(), pixels.end(), images.begin(), [](std::uint8_t pixel) { return pixel / 255.0F; });
    return images;
}

std::vector<std::uint8_t> read_labels(const std::string &path) {
    auto labels = elements(path, LABELS, 1, 1);
    if (*std::max_element(labels.begin(), labels.end()) >= CLASSES)
        throw std::runtime_error(path + " holds labels above 9");
    return labels;
}
