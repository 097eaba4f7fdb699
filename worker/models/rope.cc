#include "worker/models/rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hullft::worker {
namespace {

// base^(0, 2, 4, ...)/dim, float32 [dim/2].
at::Tensor PositionFrequencies(double theta, int64_t dim) {
  return at::pow(theta, at::arange(0, dim, 2, at::kFloat) / static_cast<double>(dim));
}

// transformers modeling_rope_utils, _compute_llama3_parameters.
at::Tensor Llama3(ConfigReader& rope, const at::Tensor& plain, int64_t original) {
  const double factor = rope.Number("factor"), low = rope.Number("low_freq_factor"),
               high = rope.Number("high_freq_factor");
  if (high <= low) throw rope.Unsupported("high_freq_factor", "it must be above low_freq_factor");
  const double length = static_cast<double>(original);
  const at::Tensor wavelength = 2 * std::numbers::pi / plain;
  const at::Tensor scaled = at::where(wavelength > length / low, plain / factor, plain);
  const at::Tensor smooth = (length / wavelength - low) / (high - low);
  const at::Tensor blended = (1 - smooth) * scaled / factor + smooth * scaled;
  const at::Tensor medium = (wavelength >= length / high).logical_and(wavelength <= length / low);
  return at::where(medium, blended, scaled);
}

// transformers modeling_rope_utils, _compute_yarn_parameters.
at::Tensor Yarn(ConfigReader& rope, double theta, int64_t dim, int64_t original, double* attention_factor) {
  const double factor = rope.Number("factor"), fast = rope.Number("beta_fast", 32), slow = rope.Number("beta_slow", 1);
  const double mscale = rope.Number("mscale", 0), mscale_all = rope.Number("mscale_all_dim", 0);
  const auto scale_of = [factor](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1.0; };
  const double by_default = mscale != 0 && mscale_all != 0 ? scale_of(mscale) / scale_of(mscale_all) : scale_of(1);
  *attention_factor = rope.Number("attention_factor", by_default);
  const auto correction = [&](double rotations) {
    return static_cast<double>(dim) * std::log(static_cast<double>(original) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(theta));
  };
  double low = correction(fast), high = correction(slow);
  if (rope.Flag("truncate", true)) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp = ((at::arange(dim / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const at::Tensor frequencies = PositionFrequencies(theta, dim), extrapolate = 1 - ramp;
  return 1 / (factor * frequencies) * (1 - extrapolate) + 1 / frequencies * extrapolate;
}

// transformers modeling_rope_utils, _compute_dynamic_ntk_parameters. A sequence is never longer than max_positions.
at::Tensor Dynamic(ConfigReader& rope, const at::Tensor& frequencies, int64_t original, int64_t max_positions) {
  if (rope.Number("factor") < 1) throw rope.Unsupported("factor", "it must be 1 or more");
  if (original != max_positions) {
    throw rope.Unsupported("original_max_position_embeddings", "dynamic scaling is by max_position_embeddings");
  }
  return 1 / frequencies;
}

// The stretched frequencies of longrope: 1 / (factor_i theta^(2 i / dim)).
at::Tensor Stretched(ConfigReader& rope, const std::string& field, const at::Tensor& frequencies) {
  const std::vector<double> factors = rope.Numbers(field);
  if (static_cast<int64_t>(factors.size()) != frequencies.numel()) {
    throw rope.Unsupported(field, fmt::format("{} factors are needed", frequencies.numel()));
  }
  return 1 / (at::tensor(factors, at::kDouble).to(at::kFloat) * frequencies);
}

// transformers modeling_rope_utils, _compute_longrope_parameters.
double LongRopeAttention(ConfigReader& rope, int64_t max_positions, int64_t original) {
  const double ratio = static_cast<double>(max_positions) / static_cast<double>(original);
  const double factor = rope.Number("factor", ratio);
  const double by_default = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original)));
  return rope.Number("attention_factor", by_default);
}

}  // namespace

Rope::Rope(ConfigReader& config, RopeDefaults defaults) {
  const bool new_names = config.Has("rope_parameters"), scaled = config.Has("rope_scaling");
  if (new_names && scaled && config.Object("rope_scaling").Has("factor")) {
    throw config.Unsupported("rope_scaling", "rope_parameters is there too");
  }
  // GPT-NeoX's own older names are rotary_emb_base and rotary_pct.
  defaults.theta = config.Number("rope_theta", config.Number("rotary_emb_base", defaults.theta));
  defaults.fraction = config.Number("partial_rotary_factor", config.Number("rotary_pct", defaults.fraction));
  ConfigReader rope = new_names ? config.Object("rope_parameters")
                      : scaled  ? config.Object("rope_scaling")
                                : ConfigReader(config.path(), "", nlohmann::json::object());
  if (config.Has("original_max_position_embeddings")) {  // Phi-3 keeps it beside max_position_embeddings
    rope.Defaults({{"original_max_position_embeddings", config.Size("original_max_position_embeddings")}});
  }
  Read(rope, defaults);
}

Rope Rope::OfObject(ConfigReader rope, const RopeDefaults& defaults) {
  Rope result;
  result.Read(rope, defaults);
  return result;
}

void Rope::Read(ConfigReader& rope, const RopeDefaults& defaults) {
  const double theta = rope.Number("rope_theta", defaults.theta);
  if (theta <= 1) throw rope.Unsupported("rope_theta", "it must be above 1");
  const double fraction = rope.Number("partial_rotary_factor", defaults.fraction);
  const auto dim = static_cast<int64_t>(static_cast<double>(defaults.head_width) * fraction);
  if (fraction <= 0 || fraction > 1 || (fraction != 1 && !defaults.partly) || dim < 2 || dim % 2 != 0) {
    throw rope.Unsupported("partial_rotary_factor",
                           fmt::format("{} of a head's {} elements cannot be rotated", dim, defaults.head_width));
  }
  const std::string type = rope.Text("rope_type", rope.Text("type", "default"));
  const at::Tensor frequencies = PositionFrequencies(theta, dim);
  const int64_t original = rope.Size("original_max_position_embeddings", defaults.max_positions);
  if (type == "default") {
    inverse_frequencies_ = 1.0 / frequencies;
  } else if (type == "linear") {
    inverse_frequencies_ = 1.0 / frequencies / rope.Number("factor");
  } else if (type == "dynamic") {
    inverse_frequencies_ = Dynamic(rope, frequencies, original, defaults.max_positions);
  } else if (type == "llama3") {
    inverse_frequencies_ = Llama3(rope, 1.0 / frequencies, rope.Size("original_max_position_embeddings"));
  } else if (type == "yarn") {
    inverse_frequencies_ = Yarn(rope, theta, dim, original, &attention_factor_);
  } else if (type == "longrope" || type == "su") {
    long_from_ = original;
    inverse_frequencies_ = Stretched(rope, "short_factor", frequencies);
    long_frequencies_ = Stretched(rope, "long_factor", frequencies);
    attention_factor_ = LongRopeAttention(rope, defaults.max_positions, original);
  } else {
    throw rope.Unsupported("rope_type",
                           "of rotary scalings default, linear, dynamic, llama3, yarn and longrope are implemented");
  }
  rope.RejectUnknown({"finetuned"});  // of the weights
}

std::pair<at::Tensor, at::Tensor> Rope::Tables(int64_t length, at::Device device) {
  const bool of_long = long_frequencies_.defined() && length > long_from_;
  if (!cos_.defined() || cos_.size(0) < length || cos_.device() != device || of_long != of_long_) {
    const at::Tensor positions = at::arange(length, at::kFloat).unsqueeze(1);
    const at::Tensor angles = positions * (of_long ? long_frequencies_ : inverse_frequencies_).unsqueeze(0);
    cos_ = (angles.cos() * attention_factor_).unsqueeze(1).to(device);
    sin_ = (angles.sin() * attention_factor_).unsqueeze(1).to(device);
    of_long_ = of_long;
  }
  return {cos_.narrow(0, 0, length), sin_.narrow(0, 0, length)};
}

at::Tensor Rope::Apply(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = cos.size(2), rest = x.size(2) - 2 * half;
  const at::Tensor first = x.narrow(2, 0, half), second = x.narrow(2, half, half);
  std::vector<at::Tensor> parts = {first * cos - second * sin, second * cos + first * sin};
  if (rest > 0) parts.push_back(x.narrow(2, 2 * half, rest));
  return at::cat(parts, 2);
}

}  // namespace hullft::worker
