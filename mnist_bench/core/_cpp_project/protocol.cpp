#include "protocol.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>

#include "engine.h"
#include "json.h"

namespace {

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "arrays are little-endian: swap their bytes in read_message and write_message"
#endif

using Clock = std::chrono::steady_clock;

constexpr int VERSION = 1;
constexpr std::size_t LONGEST_LINE = 1 << 20;
constexpr std::size_t MOST_BYTES = std::size_t{1} << 32;  // more than any model, or any set of images, that is sent
constexpr std::size_t MOST_CALLS = 100'000'000, MOST_THREADS = 4096;

const std::map<std::string, std::size_t> WIDTHS = {
    {"float16", 2}, {"float32", 4}, {"float64", 8}, {"int8", 1},   {"int16", 2},  {"int32", 4},
    {"int64", 8},   {"uint8", 1},   {"uint16", 2},  {"uint32", 4}, {"uint64", 8},
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Array {
    std::string dtype;
    std::vector<std::size_t> shape;
    Bytes content;
};

struct Message {
    std::string kind;
    Json fields;
    std::map<std::string, Array> arrays;
};

// Reads one line without its end; false at the end of stdin.
bool read_line(std::string &line) {
    line.clear();
    for (int one = std::getchar(); one != EOF; one = std::getchar()) {
        if (one == '\n') return true;
        if (line.size() == LONGEST_LINE) throw std::runtime_error("a message's first line is too long");
        line += static_cast<char>(one);
    }
    if (!line.empty()) throw std::runtime_error("stdin ended within a message");
    return false;
}

Array read_array(const Json &described, std::size_t &left) {
    Array array{described["dtype"].text(), {}, {}};
    const auto width = WIDTHS.find(array.dtype);
    if (width == WIDTHS.end()) throw std::runtime_error("an array has an unknown dtype");
    std::size_t bytes = width->second;
    for (const auto &one : described["shape"].array()) {
        const auto size = array.shape.emplace_back(one.whole(MOST_BYTES));
        if (size && bytes > left / size)
            throw std::runtime_error("an array is larger than the " + std::to_string(MOST_BYTES) +
                                     " bytes that a message may have");
        bytes *= size;
    }
    left -= bytes;
    array.content.resize(bytes);
    if (std::fread(array.content.data(), 1, bytes, stdin) != bytes)
        throw std::runtime_error("stdin ended within an array");
    return array;
}

// Reads a message; false at the end of stdin.
bool read_message(Message &message) {
    std::string line;
    if (!read_line(line)) return false;
    message.fields = parse_json(line);
    message.kind = message.fields["message"].text();
    message.arrays.clear();
    std::size_t left = MOST_BYTES;
    if (const auto &arrays = message.fields["arrays"]; !arrays.is_null())
        for (const auto &one : arrays.array()) message.arrays[one["name"].text()] = read_array(one, left);
    return true;
}

// A message to write: fields are JSON already, arrays are written from where they are.
class Reply {
   public:
    explicit Reply(const std::string &kind) : head_("{\"message\": " + quoted(kind)) {}

    Reply &field(const std::string &name, const std::string &json) {
        head_ += ", " + quoted(name) + ": " + json;
        return *this;
    }
    Reply &text(const std::string &name, const std::string &text) { return field(name, quoted(text)); }
    Reply &seconds(const std::string &name, double value) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%.9f", value);
        return field(name, digits);
    }
    template <typename T>
    Reply &array(const std::string &name, const std::string &dtype, std::vector<std::size_t> shape,
                 const std::vector<T> &values) {
        std::string sizes;
        for (const auto size : shape) sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
        arrays_ += (arrays_.empty() ? "" : ", ") + ("{\"name\": " + quoted(name)) + ", \"dtype\": " + quoted(dtype) +
                   ", \"shape\": [" + sizes + "]}";
        parts_.emplace_back(values.data(), values.size() * sizeof(T));
        return *this;
    }

    void write() const {
        const std::string line = head_ + ", \"arrays\": [" + arrays_ + "]}\n";
        bool written = std::fwrite(line.data(), 1, line.size(), stdout) == line.size();
        for (const auto &[bytes, count] : parts_) written = written && std::fwrite(bytes, 1, count, stdout) == count;
        if (!written || std::fflush(stdout)) throw std::runtime_error("nobody reads the answers any more");
    }

   private:
    std::string head_, arrays_;
    std::vector<std::pair<const void *, std::size_t>> parts_;
};

// Cuts images into batches of one size, without copying any but the last, where that must be filled up.
class Batches {
   public:
    Batches(const std::vector<float> &images, std::size_t size, bool full) : images_(images), size_(size) {
        const std::size_t rows = images.size() / PIXELS, rest = rows % size;
        count_ = rows / size + (rest ? 1 : 0);
        last_ = rest && !full ? rest : size;
        if (rest && full)
            for (std::size_t row = 0; row < size; row++) {
                const auto *from = images.data() + (rows - rest + row) % rows * PIXELS;
                filled_.insert(filled_.end(), from, from + PIXELS);
            }
    }

    std::size_t count() const { return count_; }
    std::size_t rows(std::size_t batch) const { return batch + 1 == count_ ? last_ : size_; }
    const float *images(std::size_t batch) const {
        return batch + 1 == count_ && !filled_.empty() ? filled_.data() : images_.data() + batch * size_ * PIXELS;
    }

   private:
    const std::vector<float> &images_;
    std::size_t size_, count_, last_;
    std::vector<float> filled_;
};

class Worker {
   public:
    Worker(std::string engine, std::string model) : only_(std::move(engine)), model_(std::move(model)) {}

    void answer(const Message &message) {
        if (message.kind == "hello") hello(message);
        else if (message.kind == "open") open(message);
        else if (message.kind == "inspect") inspect();
        else if (message.kind == "run") run(message);
        else if (message.kind == "time") time(message);
        else
            Reply("error")
                .text("kind", "unsupported")
                .text("reason", "there is no message '" + message.kind + "' here")
                .write();
    }

   private:
    void hello(const Message &message) {
        const auto &asked = message.fields["runtime"].text();
        opened_ = false;
        engine_.reset();
        name_ = !only_.empty() ? only_ : !asked.empty() ? asked : engine_names().at(0);
        Reply reply("hello");
        reply.field("protocol", std::to_string(VERSION))
            .field("pid", std::to_string(getpid()))
            .text("worker", "C++ (" __VERSION__ ")");
        reply.text("runtime", name_);
        try {
            if (message.fields["device"].text() != "cpu") throw Unavailable("it answers on a CPU alone");
            const auto start = Clock::now();
            engine_ = load_engine(name_);
            reply.seconds("import_s", seconds_since(start)).text("version", engine_->version());
        } catch (const Unavailable &error) { reply.field("unavailable", "{\"reason\": " + quoted(error.what()) + "}"); }
        reply.write();
    }

    void open(const Message &message) {
        if (!engine_) throw std::runtime_error("no engine was asked for");
        opened_ = false;
        if (!message.fields["signature"].is_null()) {
            const auto *const reason = "images are given as float32 (n, 1, 28, 28) here, and the model takes others";
            Reply("error").text("kind", "unsupported").text("reason", reason).write();
            return;
        }
        if (model_.empty() && message.arrays.size() != 1) throw std::runtime_error("a model is one file here");
        const Bytes content = model_.empty() ? message.arrays.begin()->second.content : read_file(model_);
        const auto threads = std::max<std::size_t>(message.fields["threads"].whole(MOST_THREADS), 1);
        const auto &precision = message.fields["precision"].text();
        const auto start = Clock::now();
        engine_->open(content, static_cast<int>(threads), precision);
        const double load_s = seconds_since(start);
        opened_ = true;
        Reply("opened").seconds("load_s", load_s).write();
    }

    void inspect() const {
        require_opened();
        Reply("inspected").text("provider", engine_->provider()).text("precision", engine_->precision()).write();
    }

    void run(const Message &message) {
        take_images(message);
        const Batches batches(images_, batch_size(message), false);
        const auto logits = answers(batches, batches.count());
        Reply("answers").array("logits", "float32", {logits.size() / CLASSES, CLASSES}, logits).write();
    }

    // A first call, answers for the check, a warm-up that is not scored, and then the calls that count.
    void time(const Message &message) {
        take_images(message);
        const auto size = batch_size(message);
        const Batches batches(images_, size, true);
        Reply reply("timed");
        reply.seconds("first_call_s", static_cast<double>(clocked(batches, 0)) * 1e-9);

        std::vector<float> logits;
        if (const auto wanted = message.fields["answers"].whole(images_.size() / PIXELS)) {
            logits = answers(batches, (wanted + size - 1) / size);
            logits.resize(wanted * CLASSES);
            reply.array("logits", "float32", {wanted, CLASSES}, logits);
        }

        const auto start = Clock::now();
        const auto warm_up_calls = message.fields["warm_up_calls"].whole(MOST_CALLS);
        const auto warm_up_s = message.fields["warm_up_s"].number();
        std::size_t warmed = 0;
        for (; warmed < warm_up_calls || seconds_since(start) < warm_up_s; warmed++) clocked(batches, warmed);
        reply.field("warm_up_calls", std::to_string(warmed)).seconds("warm_up_s", seconds_since(start));

        std::vector<std::int64_t> times(message.fields["calls"].whole(MOST_CALLS));
        for (std::size_t call = 0; call < times.size(); call++) times[call] = clocked(batches, call);
        // Peak memory is left to mnist-bench, which reads it of this process: getrusage tells that of whoever started it.
        reply.array("times_ns", "int64", {times.size()}, times).write();
    }

    // Answers one batch, around again after the last; returns the nanoseconds that it took. The clock is next to the
    // call, which goes from an array to an array.
    std::int64_t clocked(const Batches &batches, std::size_t call) {
        const auto batch = call % batches.count();
        const auto rows = batches.rows(batch);
        const auto *images = batches.images(batch);
        scratch_.resize(rows * CLASSES);
        const auto start = Clock::now();
        engine_->run(images, rows, scratch_.data());
        const auto end = Clock::now();
        return std::max<std::int64_t>(std::chrono::nanoseconds(end - start).count(), 1);
    }

    // Answers the first so many batches.
    std::vector<float> answers(const Batches &batches, std::size_t count) {
        std::vector<float> logits;
        for (std::size_t batch = 0; batch < count; batch++) {
            clocked(batches, batch);
            logits.insert(logits.end(), scratch_.begin(), scratch_.end());
        }
        return logits;
    }

    // Takes the images that come with a message, whatever else is wrong with it; without any, those before are meant.
    void take_images(const Message &message) {
        if (const auto found = message.arrays.find("images"); found != message.arrays.end()) {
            const auto &[dtype, shape, content] = found->second;
            if (dtype != "float32" || shape.size() != 4 || shape[1] != 1 || shape[2] != 28 || shape[3] != 28)
                throw std::runtime_error("images are float32 (n, 1, 28, 28)");
            images_.resize(content.size() / sizeof(float));
            std::memcpy(images_.data(), content.data(), content.size());
        }
        require_opened();
        if (images_.empty()) throw std::runtime_error("there are no images");
    }

    void require_opened() const {
        if (!opened_) throw std::runtime_error("no model is open");
    }

    static std::size_t batch_size(const Message &message) {
        const auto size = message.fields["batch_size"].whole(MOST_BYTES / PIXELS);
        if (size == 0) throw std::runtime_error("a batch has at least one image");
        return size;
    }

    std::string only_, model_, name_;
    std::unique_ptr<Engine> engine_;
    bool opened_ = false;
    std::vector<float> images_, scratch_;
};

}  // namespace

void answer_messages(const std::string &engine, const std::string &model) {
    Worker worker(engine, model);
    Message message;
    while (read_message(message) && message.kind != "close") {
        try {
            worker.answer(message);
        } catch (const Unavailable &error) {
            Reply("error").text("kind", "unavailable").text("reason", first_line(error.what())).write();
        } catch (const std::bad_alloc &) {
            Reply("error").text("kind", "memory").text("reason", "there is no memory left").write();
        } catch (const std::exception &error) {
            Reply("error").text("kind", "failed").text("reason", first_line(error.what())).write();
        }
    }
    Reply("closed").write();
}
