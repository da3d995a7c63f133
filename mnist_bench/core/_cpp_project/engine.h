// What answers images: one of the engines that this project was built with. To add one, write engine_NAME.cpp and name
// it in CMakeLists.txt.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

constexpr std::size_t PIXELS = 28 * 28;
constexpr std::size_t CLASSES = 10;

using Bytes = std::vector<std::uint8_t>;

// The engine, or this processor, cannot do what was asked for; anything else that is thrown is a failure.
struct Unavailable : std::runtime_error { using std::runtime_error::runtime_error; };

struct Engine {
    virtual ~Engine() = default;

    // The version of what computes.
    virtual std::string version() const = 0;

    // Opens a model's content, in place of the one before, for at most so many threads. `precision` is what to compute
    // in, as the model is stored unless it is "bf16".
    virtual void open(const Bytes &content, int threads, const std::string &precision) = 0;

    // Answers `count` images, float32 (count, 1, 28, 28) in [0, 1], with logits, float32 (count, 10).
    virtual void run(const float *images, std::size_t count, float *logits) = 0;

    // Where and in what the opened model really runs: read back as far as the engine tells.
    virtual std::string provider() const = 0;
    virtual std::string precision() const = 0;
};

// What a module of an engine is asked for, by this name.
extern "C" Engine *make_engine();

// Loads the module of an engine, engine-NAME.so beside this program. An engine that is not named is not loaded: a
// program that answers with ONNX Runtime has no need of LibTorch's gigabyte. Throws Unavailable where it is not there.
std::unique_ptr<Engine> load_engine(const std::string &name);

// The engines that this program was built with; the first is taken unless one is named.
std::vector<std::string> engine_names();

// Reads a whole file; throws std::runtime_error where that cannot be done.
Bytes read_file(const std::string &path);

// The first line of a text: libraries put the places of their sources, and stacks, below it.
std::string first_line(const std::string &text);

// In what the layers of an ONNX file compute: an engine cannot be asked.
std::string onnx_precision(const Bytes &content);
