#include "engine.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

namespace {

constexpr std::size_t FLOAT_BYTES = 4 * 535818;  // the specified network's parameters in float32

std::filesystem::path beside_this_program(const std::string &name) {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

// Whether an ONNX file has a node of a type: field 4 of its message, whose tag and length stand before the word. The word
// alone may be what a run is called.
bool has_node(const Bytes &content, const std::string &type) {
    const std::string field = '"' + std::string(1, static_cast<char>(type.size())) + type;
    return std::search(content.begin(), content.end(), field.begin(), field.end()) != content.end();
}

}  // namespace

std::unique_ptr<Engine> load_engine(const std::string &name) {
    const auto names = engine_names();
    if (std::find(names.begin(), names.end(), name) == names.end())
        throw Unavailable("this program was built without " + name);
    const auto path = beside_this_program("engine-" + name + ".so");
    // Not into the symbols of all: engines bring libraries of the same names. It stays loaded: LibTorch cannot end.
    void *module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!module) throw Unavailable(first_line(dlerror()));
    const auto make = reinterpret_cast<decltype(&make_engine)>(dlsym(module, "make_engine"));
    if (!make) throw Unavailable(path.string() + " is no engine");
    return std::unique_ptr<Engine>(make());
}

std::vector<std::string> engine_names() {
    std::vector<std::string> names;
    std::string_view left = ENGINES;  // joined by spaces, from CMakeLists.txt
    while (!left.empty()) {
        const auto end = std::min(left.find(' '), left.size());
        names.emplace_back(left.substr(0, end));
        left.remove_prefix(std::min(end + 1, left.size()));
    }
    return names;
}

Bytes read_file(const std::string &path) {
    if (!std::filesystem::is_regular_file(path)) throw std::runtime_error(path + " is no file");
    std::ifstream file(path, std::ios::binary);
    Bytes content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file) throw std::runtime_error(path + " cannot be read");
    return content;
}

std::string first_line(const std::string &text) { return text.substr(0, text.find('\n')); }

std::string onnx_precision(const Bytes &content) {
    if (has_node(content, "MatMulInteger")) return "int8-dynamic";
    if (has_node(content, "QuantizeLinear")) return "int8";
    const auto is_of = [&](std::size_t bytes) {  // and of what a file holds besides, a few thousand bytes
        return bytes <= content.size() && content.size() <= bytes + bytes / 20;
    };
    if (is_of(FLOAT_BYTES / 2)) return "fp16";
    return is_of(FLOAT_BYTES) ? "fp32" : "unknown";  // another network's
}
