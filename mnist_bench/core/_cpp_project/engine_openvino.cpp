// OpenVINO on a CPU. Opens .onnx. It lowers the precision by itself where a processor has bf16 or f16: float32 is asked
// for, and read back of the compiled graph.

#include <algorithm>
#include <cstring>
#include <openvino/openvino.hpp>
#include <set>

#include "engine.h"

namespace {

const char *const DEVICE = "CPU";

bool is_product(const std::string &layer) { return layer == "FullyConnected" || layer == "MatMul"; }

class OpenVino : public Engine {
   public:
    std::string version() const override {
        const std::string whole = ov::get_openvino_version().buildNumber;  // the build's name stands behind a hyphen
        return whole.substr(0, whole.find('-'));
    }

    void open(const Bytes &content, int threads, const std::string &precision) override {
        const bool lowered = precision == "bf16";
        const auto able = core_.get_property(DEVICE, ov::device::capabilities);
        if (lowered && std::find(able.begin(), able.end(), ov::device::capability::BF16) == able.end())
            throw Unavailable("this processor has no instructions for bf16, or may not use them");
        const auto model = read(content);
        compiled_ = core_.compile_model(model, DEVICE,
                                        ov::hint::inference_precision(lowered ? ov::element::bf16 : ov::element::f32),
                                        ov::inference_num_threads(threads), ov::num_streams(1),
                                        ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY));
        request_ = compiled_.create_infer_request();
        stored_ = onnx_precision(content);
        bound_ = 0;
    }

    void run(const float *images, std::size_t count, float *logits) override {
        if (bound_ != count) {  // tensors are bound once: a call on other memory takes longer than copying
            input_ = ov::Tensor(ov::element::f32, {count, 1, 28, 28});
            request_.set_input_tensor(input_);
            bound_ = count;
        }
        std::memcpy(input_.data<float>(), images, count * PIXELS * sizeof(float));
        request_.infer();
        const auto answer = request_.get_output_tensor();
        if (answer.get_size() != count * CLASSES) throw std::runtime_error("it gives no 10 logits an image");
        std::memcpy(logits, answer.data<float>(), count * CLASSES * sizeof(float));
    }

    std::string provider() const override { return std::string("OpenVINO ") + DEVICE; }

    std::string precision() const override {
        std::set<std::string> ran;
        for (const auto &node : compiled_.get_runtime_model()->get_ops()) {
            const auto &facts = node->get_rt_info();
            const auto layer = facts.find("layerType"), precision = facts.find("runtimePrecision");
            if (layer == facts.end() || precision == facts.end()) continue;
            if (is_product(layer->second.as<std::string>())) ran.insert(precision->second.as<std::string>());
        }
        if (ran.count("bf16")) return "bf16";
        if (ran.count("f16")) return "fp16";
        return stored_;  // integers may be multiplied as float32: they are what the file says
    }

   private:
    std::shared_ptr<ov::Model> read(const Bytes &content) {
        try {
            return core_.read_model(std::string(content.begin(), content.end()), ov::Tensor());
        } catch (const ov::Exception &error) {  // the cause stands below the places in its sources
            std::string said = error.what();
            said.erase(said.find_last_not_of(" \n") + 1);
            throw std::runtime_error("OpenVINO cannot read the model: " + said.substr(said.rfind('\n') + 1));
        }
    }

    ov::Core core_;
    ov::CompiledModel compiled_;
    ov::InferRequest request_;
    ov::Tensor input_;
    std::string stored_;
    std::size_t bound_ = 0;
};

}  // namespace

extern "C" Engine *make_engine() { return new OpenVino; }
