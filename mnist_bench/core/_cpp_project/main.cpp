// Classifies images of MNIST's kind. See README.md.

#include <algorithm>
#include <charconv>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"
#include "idx.h"
#include "protocol.h"

namespace {

constexpr std::string_view USAGE =
    "usage: classify --images FILE [--labels FILE] [--model FILE] [--engine NAME] [--threads N] [--batch-size N]\n"
    "       classify --protocol [--model FILE] [--engine NAME]\n"
    "\n"
    "  --images FILE    images in IDX, as t10k-images-idx3-ubyte: prints a digit a line\n"
    "  --labels FILE    their labels: prints how many are right instead\n"
    "  --model FILE     what to open  [model.onnx]\n"
    "  --engine NAME    what opens it: one of those that --help lists  [the first]\n"
    "  --threads N      CPU threads  [1]\n"
    "  --batch-size N   images a call  [128]\n"
    "  --protocol       answer mnist-bench on stdin and stdout\n";

constexpr int OK = 0, FAILED = 1, USED_WRONGLY = 2;
constexpr std::size_t MOST = 1'000'000;

struct Wrong : std::runtime_error { using std::runtime_error::runtime_error; };

struct Options {
    std::string images, labels, model, engine;
    std::size_t threads = 1, batch_size = 128;
    bool protocol = false, help = false;
};

std::size_t number(const std::string &name, const std::string &text) {
    std::size_t found = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), found);
    if (error != std::errc() || end != text.data() + text.size() || found < 1 || found > MOST)
        throw Wrong(name + " takes a number from 1 to " + std::to_string(MOST));
    return found;
}

Options parsed(const std::vector<std::string> &words) {
    Options options;
    for (std::size_t at = 0; at < words.size(); at++) {
        const auto &name = words[at];
        const auto value = [&]() -> const std::string & {
            if (++at == words.size()) throw Wrong(name + " wants a value behind it");
            return words[at];
        };
        if (name == "--images") options.images = value();
        else if (name == "--labels") options.labels = value();
        else if (name == "--model") options.model = value();
        else if (name == "--engine") options.engine = value();
        else if (name == "--threads") options.threads = number(name, value());
        else if (name == "--batch-size") options.batch_size = number(name, value());
        else if (name == "--protocol") options.protocol = true;
        else if (name == "--help") options.help = true;
        else throw Wrong("there is no " + name + ": see --help");
    }
    if (!options.protocol && !options.help && options.images.empty()) throw Wrong("name --images: see --help");
    return options;
}

// Returns the class of each image: the largest logit.
std::vector<int> classified(Engine &engine, const std::vector<float> &images, std::size_t batch_size) {
    const std::size_t count = images.size() / PIXELS;
    std::vector<float> logits(count * CLASSES);
    for (std::size_t at = 0; at < count; at += batch_size)
        engine.run(images.data() + at * PIXELS, std::min(batch_size, count - at), logits.data() + at * CLASSES);
    std::vector<int> classes;
    for (auto row = logits.cbegin(); row != logits.cend(); row += CLASSES)
        classes.push_back(static_cast<int>(std::max_element(row, row + CLASSES) - row));
    return classes;
}

void classify(const Options &options) {
    const auto images = read_images(options.images);
    const auto labels = options.labels.empty() ? Bytes{} : read_labels(options.labels);
    const auto count = images.size() / PIXELS;
    if (!options.labels.empty() && labels.size() != count)
        throw std::runtime_error(options.labels + " has " + std::to_string(labels.size()) + " labels for " +
                                 std::to_string(count) + " images");
    const auto engine = load_engine(options.engine.empty() ? engine_names().at(0) : options.engine);
    engine->open(read_file(options.model.empty() ? "model.onnx" : options.model), static_cast<int>(options.threads),
                 "");
    const auto classes = classified(*engine, images, options.batch_size);
    if (labels.empty()) {
        for (const int one : classes) std::cout << one << '\n';
    } else {
        std::size_t right = 0;
        for (std::size_t image = 0; image < count; image++) right += classes[image] == labels[image];
        std::cout << right << " of " << count
                  << " right: " << 100.0 * static_cast<double>(right) / static_cast<double>(count) << " %\n";
    }
    if (!std::cout.flush()) throw std::runtime_error("the answers cannot be written");
}

}  // namespace

int main(int count, char **words) {
    try {
        const auto options = parsed({words + 1, words + count});
        if (options.help) {
            std::cout << USAGE << "\nengines:";
            for (const auto &name : engine_names()) std::cout << ' ' << name;
            std::cout << '\n';
        } else if (options.protocol) {
            answer_messages(options.engine, options.model);
        } else {
            classify(options);
        }
        return OK;
    } catch (const Wrong &error) {
        std::cerr << "classify: " << error.what() << '\n';
        return USED_WRONGLY;
    } catch (const std::exception &error) {
        std::cerr << "classify: " << first_line(error.what()) << '\n';
        return FAILED;
    }
}
