// ONNX Runtime on a CPU, with all its optimisations. Opens .onnx.

// The library may be older than the headers: ask it for their version of its functions, instead of calling into nothing.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <array>
#include <optional>

#include "engine.h"

namespace {

class OnnxRuntime : public Engine {
   public:
    std::string version() const override { return OrtGetApiBase()->GetVersionString(); }

    void open(const Bytes &content, int threads, const std::string &) override {
        Ort::SessionOptions options;
        options.SetIntraOpNumThreads(threads);
        options.SetInterOpNumThreads(1);
        options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_ERROR);
        session_.emplace(environment_, content.data(), content.size(), options);
        Ort::AllocatorWithDefaultOptions allocator;
        input_ = session_->GetInputNameAllocated(0, allocator).get();
        output_ = session_->GetOutputNameAllocated(0, allocator).get();
        precision_ = onnx_precision(content);
    }

    void run(const float *images, std::size_t count, float *logits) override {
        const std::array<std::int64_t, 4> in{static_cast<std::int64_t>(count), 1, 28, 28};
        const std::array<std::int64_t, 2> out{in[0], CLASSES};
        // The interface is older than const; an input is only read.
        const auto image =
            Ort::Value::CreateTensor(memory_, const_cast<float *>(images), count * PIXELS, in.data(), in.size());
        auto answer = Ort::Value::CreateTensor(memory_, logits, count * CLASSES, out.data(), out.size());
        const char *inputs[] = {input_.c_str()}, *outputs[] = {output_.c_str()};
        session_->Run(Ort::RunOptions{nullptr}, inputs, &image, 1, outputs, &answer, 1);
    }

    std::string provider() const override { return "CPUExecutionProvider of C++"; }
    std::string precision() const override { return precision_; }

   private:
    Ort::Env environment_{ORT_LOGGING_LEVEL_ERROR, "classify"};
    Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::optional<Ort::Session> session_;
    std::string input_, output_, precision_;
};

}  // namespace

extern "C" Engine *make_engine() {
    const OrtApi *functions = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (!functions)
        throw Unavailable(std::string("ONNX Runtime ") + OrtGetApiBase()->GetVersionString() +
                          " is older than the headers that this was built with: 1." + std::to_string(ORT_API_VERSION));
    Ort::InitApi(functions);
    return new OnnxRuntime;
}
