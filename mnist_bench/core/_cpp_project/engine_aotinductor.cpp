// LibTorch with a package that AOTInductor compiled (.pt2): machine code for processors like the one it was made on.

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/version.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine.h"

namespace {

// A file of its own while this lasts: the loader takes nothing but a path.
class Written {
   public:
    explicit Written(const Bytes &content) {
        auto name = (std::filesystem::temp_directory_path() / "classify-XXXXXX").string();
        if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder can be made: " + name);
        folder_ = name;
        std::ofstream file(path(), std::ios::binary);
        file.write(reinterpret_cast<const char *>(content.data()), static_cast<std::streamsize>(content.size()));
        if (!file.flush()) throw std::runtime_error(path() + " cannot be written");
    }
    ~Written() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    Written(const Written &) = delete;
    Written &operator=(const Written &) = delete;

    std::string path() const { return (folder_ / "model.pt2").string(); }  // the loader insists on this suffix

   private:
    std::filesystem::path folder_;
};

class AotInductor : public Engine {
   public:
    std::string version() const override { return TORCH_VERSION; }

    void open(const Bytes &content, int threads, const std::string &) override {
        at::set_num_threads(threads);
        const Written written(content);
        loader_ = std::make_unique<torch::inductor::AOTIModelPackageLoader>(written.path());
    }

    void run(const float *images, std::size_t count, float *logits) override {
        const auto answer = answered(images, static_cast<std::int64_t>(count));
        if (answer.scalar_type() != at::kFloat || answer.numel() != static_cast<std::int64_t>(count * CLASSES))
            throw std::runtime_error("it gives no 10 logits in float32 an image");
        std::memcpy(logits, answer.const_data_ptr<float>(), count * CLASSES * sizeof(float));
    }

    std::string provider() const override { return "LibTorch " + probe().device().str(); }

    std::string precision() const override {
        if (probe().scalar_type() != at::kFloat) return toString(probe().scalar_type());
        return at::globalContext().float32MatmulPrecision() == at::Float32MatmulPrecision::HIGHEST ? "fp32" : "tf32";
    }

   private:
    at::Tensor answered(const float *images, std::int64_t count) const {
        const c10::InferenceMode guard;
        // The interface is older than const; an input is only read.
        return loader_->run({at::from_blob(const_cast<float *>(images), {count, 1, 28, 28}, at::kFloat)})
            .at(0)
            .contiguous();
    }
    at::Tensor probe() const {
        const std::vector<float> dark(PIXELS);
        return answered(dark.data(), 1);
    }

    std::unique_ptr<torch::inductor::AOTIModelPackageLoader> loader_;
};

}  // namespace

extern "C" Engine *make_engine() { return new AotInductor; }
