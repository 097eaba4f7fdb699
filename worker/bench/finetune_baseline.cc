// The other side of `hullft bench finetune`: finetuning on one query as the reference implementation does it, in plain
// LibTorch. Every sequence padded to the window, an attention mask as large as the window squared, GPT-2's activation
// written out, all logits at once, torch::optim::Adam at every step, gradients cloned and copied back for a step that
// reuses them, weights restored from a copy. None of hullft's kernels or settings; LibTorch as it ships.
//
// usage: hullft_finetune_baseline MODEL_DIR THREADS
// Reads requests, one JSON object a line, from standard input and answers each with one line:
//   {"tokens": [[...], ...], "counts": [...], "refresh": r, "learning_rate": x}
//   {"losses": [...], "restore": [wall_ms, cpu_ms], "gradients": [[...], ...], "clones": ..., "copies": ..., "steps":
//   ...}
#include <torch/torch.h>

#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/files.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/finetune/stage_times.h"

namespace hullft::worker {
namespace {

using nlohmann::json;

struct Gpt2 {
  std::map<std::string, torch::Tensor> weights;
  int64_t layers, heads, width, window;

  explicit Gpt2(const std::filesystem::path& folder) {
    const json config = json::parse(ReadFile(folder / "config.json"));
    layers = config.at("n_layer");
    heads = config.at("n_head");
    width = config.at("n_embd");
    window = config.at("n_positions");
    const Checkpoint checkpoint(folder);
    for (const auto& [name, view] : checkpoint.tensors()) {
      torch::Tensor value = torch::empty(view.shape);
      CopyAsFloat32(name, view, {value.data_ptr<float>(), static_cast<size_t>(value.numel())});
      weights[name] = value.set_requires_grad(true);
    }
  }

  const torch::Tensor& W(const std::string& name) const { return weights.at("transformer." + name); }
  torch::Tensor Norm(const torch::Tensor& x, const std::string& name) const {
    return torch::layer_norm(x, {width}, W(name + ".weight"), W(name + ".bias"), 1e-5);
  }
  torch::Tensor Project(const torch::Tensor& x, const std::string& name) const {
    const torch::Tensor rows = x.view({-1, x.size(-1)});
    const torch::Tensor y = torch::addmm(W(name + ".bias"), rows, W(name + ".weight"));
    return y.view({x.size(0), x.size(1), y.size(1)});
  }
  // transformers' NewGELUActivation.
  static torch::Tensor Gelu(const torch::Tensor& x) {
    return 0.5 * x * (1.0 + torch::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * torch::pow(x, 3.0))));
  }
  torch::Tensor Attention(const torch::Tensor& x, const torch::Tensor& mask, const std::string& name) const {
    const std::vector<torch::Tensor> qkv = Project(x, name + ".c_attn").split(width, 2);
    const auto split = [&](const torch::Tensor& y) {
      return y.view({y.size(0), y.size(1), heads, width / heads}).transpose(1, 2);
    };
    const torch::Tensor mixed = torch::scaled_dot_product_attention(split(qkv[0]), split(qkv[1]), split(qkv[2]), mask);
    return Project(mixed.transpose(1, 2).reshape({x.size(0), x.size(1), width}).contiguous(), name + ".c_proj");
  }
  // ids [1, L]; attend [1, L] of 0 and 1; labels [1, L], -100 where nothing is predicted.
  torch::Tensor Loss(const torch::Tensor& ids, const torch::Tensor& attend, const torch::Tensor& labels) const {
    const int64_t length = ids.size(1);
    const torch::Tensor causal = torch::ones({length, length}, torch::kBool).tril();
    const torch::Tensor mask = causal.logical_and(attend.to(torch::kBool).view({1, 1, 1, length}));
    torch::Tensor x =
        torch::embedding(W("wte.weight"), ids) + torch::embedding(W("wpe.weight"), torch::arange(length)).unsqueeze(0);
    for (int64_t i = 0; i < layers; ++i) {
      const std::string prefix = "h." + std::to_string(i) + ".";
      x = Attention(Norm(x, prefix + "ln_1"), mask, prefix + "attn") + x;
      x = Project(Gelu(Project(Norm(x, prefix + "ln_2"), prefix + "mlp.c_fc")), prefix + "mlp.c_proj") + x;
    }
    const torch::Tensor logits = torch::matmul(Norm(x, "ln_f"), W("wte.weight").t());
    const torch::Tensor shifted =
        torch::nn::functional::pad(labels, torch::nn::functional::PadFuncOptions({0, 1}).value(-100))
            .narrow(1, 1, length);
    return torch::cross_entropy_loss(logits.view({-1, logits.size(2)}), shifted.contiguous().view({-1}), {},
                                     at::Reduction::Mean, -100);
  }
};

json Json(const StageTime& time) {
  return {time.wall_ms, time.cpu_ms};
}

class Baseline {
 public:
  explicit Baseline(const std::filesystem::path& folder) : model_(folder) {
    for (auto& [name, value] : model_.weights) {
      parameters_.push_back(value);
      base_.push_back(value.detach().clone());
    }
  }

  json Answer(const json& request) {
    json answer = {{"losses", json::array()},
                   {"gradients", json::array()},
                   {"clones", json::array()},
                   {"copies", json::array()},
                   {"steps", json::array()}};
    StageClock clock;
    {
      const torch::NoGradGuard no_grad;
      for (size_t i = 0; i < base_.size(); ++i) parameters_[i].copy_(base_[i]);
    }
    torch::optim::Adam adam(parameters_, torch::optim::AdamOptions(request.at("learning_rate").get<double>()));
    answer["restore"] = Json(clock.Lap());
    const int refresh = request.at("refresh");
    for (size_t i = 0; i < request.at("tokens").size(); ++i) {
      const auto tokens = request["tokens"][i].get<std::vector<int64_t>>();
      const int count = request.at("counts").at(i);
      for (int j = 0; j < count; ++j) Step(tokens, j % refresh == 0, j + 1 < count, &adam, &answer);
    }
    return answer;
  }

 private:
  void Step(const std::vector<int64_t>& tokens, bool compute, bool keep, torch::optim::Adam* adam, json* answer) {
    StageClock clock;
    if (compute) {
      adam->zero_grad();
      const auto length = static_cast<int64_t>(tokens.size());
      torch::Tensor ids = torch::zeros({1, model_.window}, torch::kLong), attend = torch::zeros_like(ids);
      torch::Tensor labels = torch::full_like(ids, -100);
      const torch::Tensor given = torch::tensor(tokens).view({1, length});
      ids.narrow(1, 0, length).copy_(given);
      attend.narrow(1, 0, length).fill_(1);
      labels.narrow(1, 0, length).copy_(given);
      const torch::Tensor loss = model_.Loss(ids, attend, labels);
      loss.backward();
      (*answer)["losses"].push_back(loss.item<double>());
      (*answer)["gradients"].push_back(Json(clock.Lap()));
      if (keep) {
        saved_.clear();
        for (const torch::Tensor& parameter : parameters_) saved_.push_back(parameter.grad().detach().clone());
        (*answer)["clones"].push_back(Json(clock.Lap()));
      }
    } else {
      const torch::NoGradGuard no_grad;
      for (size_t i = 0; i < parameters_.size(); ++i) parameters_[i].mutable_grad().copy_(saved_[i]);
      (*answer)["copies"].push_back(Json(clock.Lap()));
    }
    adam->step();
    (*answer)["steps"].push_back(Json(clock.Lap()));
  }

  Gpt2 model_;
  std::vector<torch::Tensor> parameters_, base_, saved_;
};

}  // namespace
}  // namespace hullft::worker

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: hullft_finetune_baseline MODEL_DIR THREADS\n";
    return 2;
  }
  try {
    at::set_num_threads(std::stoi(argv[2]));
    hullft::worker::Baseline baseline(argv[1]);
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << baseline.Answer(nlohmann::json::parse(line)).dump() << std::endl;
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "hullft_finetune_baseline: " << error.what() << "\n";
    return 1;
  }
}
