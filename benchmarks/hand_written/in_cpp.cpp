// As in_python.py, with ONNX Runtime in C++: in_cpp MODEL IMAGES.f32 BATCH,…

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

int main(int, char **given) {
    using Clock = std::chrono::steady_clock;
    std::ifstream file(given[2], std::ios::binary);
    std::vector<char> raw((std::istreambuf_iterator<char>(file)), {});
    const auto *pixels = reinterpret_cast<const float *>(raw.data());
    const size_t images = raw.size() / sizeof(float) / 784;

    Ort::Env environment(ORT_LOGGING_LEVEL_ERROR);
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    Ort::Session session(environment, given[1], options);
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const char *inputs[] = {"image"}, *outputs[] = {"logits"};

    std::stringstream sizes(given[3]);
    std::string word, found;
    while (std::getline(sizes, word, ',')) {
        const size_t size = std::stoul(word), batches = images / size;
        std::vector<float> logits(size * 10);
        const int64_t shape[] = {static_cast<int64_t>(size), 1, 28, 28};
        auto call = [&](size_t number) {
            auto *batch = const_cast<float *>(pixels) + number % batches * size * 784;
            auto image = Ort::Value::CreateTensor<float>(memory, batch, size * 784, shape, 4);
            auto answer = session.Run(Ort::RunOptions{nullptr}, inputs, &image, 1, outputs, 1);
            std::copy_n(answer[0].GetTensorData<float>(), logits.size(), logits.begin());
        };
        const auto began = Clock::now();
        for (size_t warm = 0; warm < 50 || Clock::now() - began < std::chrono::milliseconds(500); warm++) call(warm);
        std::vector<double> times(std::max<size_t>(60, std::min<size_t>(1000, 15360 / size)));
        for (size_t number = 0; number < times.size(); number++) {
            const auto start = Clock::now();
            call(number);
            times[number] = std::chrono::duration<double>(Clock::now() - start).count();
        }
        std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
        char line[64];
        std::snprintf(line, sizeof line, "%s\"%zu\": %.9g", found.empty() ? "" : ", ", size, times[times.size() / 2]);
        found += line;
    }
    std::printf("{%s}\n", found.c_str());
}
